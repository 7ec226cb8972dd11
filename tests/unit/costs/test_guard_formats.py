"""Format files: what they say, and what is refused of them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from ig_guardrail.costs.guards.format import MOST_BYTES, packaged_formats, parse_format, read_format
from ig_guardrail.errors import ModelError
from ig_guardrail.types.hazards import canonical

ROOT = Path(__file__).resolve().parents[3]
GOOD: dict[str, Any] = {
    "format": "ig-guardrail/guard/v1",
    "title": "own",
    "verdict": {"unsafe": ["unsafe"], "safe": ["safe"]},
    "categories": {"S1": ["vcr"]},
}


def written(**keys: Any) -> bytes:
    return yaml.safe_dump({**GOOD, **keys}).encode()


@pytest.mark.parametrize("name", packaged_formats())
def test_packaged_formats_name_hazards_of_the_taxonomy(name: str) -> None:
    form = read_format(name, None, "x")
    assert all(canonical(hazard) == hazard for hazards in form.categories.values() for hazard in hazards)
    assert set(form.texts) <= set(form.categories)
    if "{text}" in str([form.closing, form.template]):
        assert set(form.texts) == set(form.categories)


def test_a_format_asks_about_each_category_where_it_names_one() -> None:
    assert not parse_format(written(system="{categories} {who}"), "x").asks_each
    assert parse_format(written(template={"config": {"name": ["{code}"]}}), "x").asks_each
    assert parse_format(written(closing="is it {text}?"), "x").asks_each


def test_places_in_texts_are_filled_and_other_braces_left() -> None:
    form = parse_format(written(categories={"S1": [], "S2": []}, texts={"S1": "{who} kills"}), "x")
    assert form.filled("{code}: {text}, by {who} {not}", "S1", ["S1"], "user") == "S1: {who} kills, by user {not}"
    listed = form.filled({"a": ["{categories}", 1, False]}, "", ["S1", "S2"], "user")
    assert listed == {"a": ["- {who} kills\n- S2", 1, False]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (written(extra=1), "`extra`: Extra inputs are not permitted"),
        (written(format="v2"), "`format`"),
        (written(verdict={"unsafe": ["a"]}), "`verdict.safe`: Field required"),
        (written(verdict={"unsafe": [], "safe": ["a"]}), "`verdict.unsafe`"),
        (written(verdict={"unsafe": [True], "safe": ["a"]}), "`verdict.unsafe.0`: Input should be a valid string"),
        (written(categories={}), "`categories`"),
        (written(categories={"S1": ["Vcr!"]}), "`categories.S1.0`"),
        (written(thought={"until": "x", "most": 0, "otherwise": "x"}), "`thought.most`"),
        (written(markers=["x"]), "`markers.0`"),
        (written(markers=[" x"]), "`markers.0`"),
        (b"title: a\ntitle: b", "the key 'title' is written twice"),
        (b"title: &a [x]\nmarkers: *a", "it uses an alias"),
        (b"[", "while parsing"),
        (b"!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (b"a: 1\n---\nb: 2", "expected a single document"),
        (b"\xff", "can't decode"),
        (b"", "valid dictionary"),
    ],
)
def test_what_is_wrong_with_a_format_file_is_said(content: bytes, said: str) -> None:
    with pytest.raises(ModelError, match="the format file cannot be used") as raised:
        parse_format(content, "cost_models.judge.format")
    assert said in raised.value.why
    assert raised.value.where == "cost_models.judge.format"


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(ModelError, match="larger than 64 KiB"):
        parse_format(b"#" * (MOST_BYTES + 1), "x")


def test_a_name_that_is_none_is_refused_with_one_that_is_near(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no format 'llamaguard'") as raised:
        read_format("llamaguard", tmp_path, "x")
    assert raised.value.fix == "write 'llama-guard'"
    (tmp_path / "own.yaml").write_bytes(written())
    assert read_format("./own.yaml", tmp_path, "x").title == "own"


def test_the_page_lists_every_packaged_format() -> None:
    page = (ROOT / "docs" / "guards.md").read_text("utf-8")
    asked = dict(re.findall(r"^\| `([a-z0-9.-]+)` \| .*\| (once|by category) \|", page, re.MULTILINE))
    assert set(asked) == set(packaged_formats())
    assert all((asked[name] == "by category") == read_format(name, None, "").asks_each for name in asked)


def test_the_format_on_the_page_is_one() -> None:
    page = (ROOT / "docs" / "guards.md").read_text("utf-8")
    (shown,) = re.findall(r"^    format: ig-guardrail.*\n(?:    .*\n)+", page, re.MULTILINE)
    form = parse_format(textwrap.dedent(shown).encode(), "docs/guards.md")
    assert form.layout == "transcript"
    keys = {key for row in re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert set(type(form).model_fields) <= keys
