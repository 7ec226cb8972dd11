"""Escapes by number, as JavaScript writes them in expressions, are the characters that they name."""

from __future__ import annotations

from typing import Any

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.schemas import fault_in, followable
from tests.faults.schema_answers import takes


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"^[\u4e00-\u9fff]+$", "日本", "a"),
        (r"^\u00e9\u{1F600}$", "é😀", "e"),
        (r"^\ud83d\ude00$", "😀", "a"),
        (r"^[\u0041-\u0043\u002d\u005d]+$", "AB-]", "D"),
        (r"^a\u002eb\u0020c$", "a.b c", "axb c"),
        (r"^\u005cd\\u0041$", r"\d\u0041", r"3\u0041"),
        (r"^\u000a$", "\n", "n"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"not": {"const": "never"}}])
def test_an_escape_by_number_is_its_character(pattern: str, right: str, wrong: str, more: dict[str, Any]) -> None:
    schema = {"type": "string", "pattern": pattern, **more}
    assert takes(schema, right)
    assert not takes(schema, wrong)
    assert fault_in(schema, right) is None
    assert fault_in(schema, wrong) is not None


@pytest.mark.parametrize("pattern", [r"\bfoo\b", r"^a\Bb$"])
def test_borders_of_words_are_refused_when_the_schema_is_bound(pattern: str) -> None:
    with pytest.raises(RequestError, match="its pattern asks for a border of words, at # of"):
        followable({"type": "string", "pattern": pattern}, 64)
    assert followable({"type": "string", "not": {"pattern": pattern}}, 64)
    assert followable({"type": "string", "pattern": r"^\\b$"}, 64)


@pytest.mark.parametrize(
    ("pattern", "told"), [(r"^\ud83d$", "invalid escape"), (r"^\cJ$", "invalid escape"), ("^(?=a)", "perl operator")]
)
def test_what_nobody_reads_is_refused_with_the_reason(pattern: str, told: str) -> None:
    with pytest.raises(RequestError, match=f"cannot be followed: .*{told}"):
        followable({"type": "string", "pattern": pattern}, 64)
