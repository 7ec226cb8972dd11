"""The rule book: complete, and readable on its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ig_guardrail.policy
from ig_guardrail.errors import RequestError
from ig_guardrail.policy import explain
from ig_guardrail.policy.diagnostics.rules import rules


def test_every_code_in_use_has_a_page_and_every_page_is_in_use() -> None:
    package = Path(ig_guardrail.policy.__file__).parents[1]
    files = [*(package / "fields").rglob("*.py"), *(package / "policy").rglob("*.py")]
    sources = [path.read_text() for path in files if path.name not in ("pages.py", "rules.py")]
    used = {code for source in sources for code in re.findall(r'"(P\d{3})"', source)}
    assert used == set(rules())


def test_codes_are_in_order_and_titles_differ() -> None:
    assert list(rules()) == sorted(rules())
    assert len({rule.title for rule in rules().values()}) == len(rules())


def test_a_page_has_title_reason_example_and_remedy() -> None:
    page = explain("p014")
    assert page.startswith("P014 (error): number out of range\n")
    assert "for example:\n    budget: -1.5\n" in page
    assert "instead:\n    budget: 0" in page


@pytest.mark.parametrize("code", ["P999", "P0114", "threshold", ""])
def test_an_unknown_code_lists_what_there_is(code: str) -> None:
    with pytest.raises(RequestError, match=f"there is no rule '{code}'") as caught:
        explain(code)
    assert "P001" in caught.value.fix
