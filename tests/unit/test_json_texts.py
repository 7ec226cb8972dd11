"""The texts of JSON as they are written: decoded, in pieces cut anywhere, names told from values."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.text.json_strings import JsonTexts, TextPart, like_json

characters = st.characters(exclude_categories=["Cs"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(characters),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(characters), inner),
)


def read(source: str, cuts: list[int], envelope: int = 0) -> list[tuple[str, bool]]:
    """Every text and whether it is a name, read in pieces."""
    edges = sorted({0, len(source), *(cut for cut in cuts if cut < len(source))})
    reading, texts, text = JsonTexts(envelope), [], ""
    for start, stop in pairwise(edges):
        reading, parts, _ = reading.read(source[start:stop])
        for part in parts:
            text += part.text
            if part.whole:
                texts.append((text, part.name))
                text = ""
    assert (reading.inside, text) == (False, "")
    return texts


def texts_in(value: Any) -> list[str]:
    """By a parser: keys and texts in the order in which they are written."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *texts_in(inner))]
    return [text for inner in value for text in texts_in(inner)] if isinstance(value, list) else []


@pytest.mark.slow
@given(values, st.booleans(), st.none() | st.integers(0, 3), st.lists(st.integers(0, 400)))
def test_they_are_what_a_parser_gets(value: Any, ascii_only: bool, indent: int | None, cuts: list[int]) -> None:
    source = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert [text for text, _ in read(source, cuts)] == texts_in(json.loads(source))


@given(st.text(characters), st.data())
def test_every_escape_is_resolved(text: str, data: st.DataObject) -> None:
    spelled = "".join(data.draw(st.sampled_from(ways_to_write(character))) for character in text)
    assert read(f'["{spelled}"]', data.draw(st.lists(st.integers(0, 400)))) == [(text, False)]


def ways_to_write(character: str) -> list[str]:
    """A character in JSON, in all ways."""
    ways = [json.dumps(character)[1:-1], json.dumps(character, ensure_ascii=False)[1:-1]]
    if ord(character) < 0x10000:
        ways += [f"\\u{ord(character):04x}", f"\\u{ord(character):04X}"]
    return [*ways, "\\/"] if character == "/" else ways


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83dx", r"\ud83d\n", r"\ude00\ud83d"])
def test_half_a_character_is_no_other(half: str) -> None:
    ((text, _),) = read(f'["{half}"]', list(range(40)))
    assert text[0] == "\N{REPLACEMENT CHARACTER}"


def test_a_text_that_is_not_closed_ends_with_the_source() -> None:
    reading, parts, clear = JsonTexts().read('{"a": "b c\\u00')
    assert clear == '{"a": "b c'
    assert parts == [TextPart("a", True, True), TextPart("b c", False)]
    assert reading.end() == [TextPart("\N{REPLACEMENT CHARACTER}", True)]
    assert JsonTexts().end() == []


def test_names_are_keys_and_what_stands_in_an_envelope() -> None:
    source = '{"name": "pay", "arguments": {"to": "Ann", "two words": ["x", {"y": "z"}]}, "id": "call_1"}'
    names = [text for text, name in read(source, [3, 30, 44, 60], envelope=1) if name]
    assert names == ["name", "pay", "arguments", "to", "y", "id", "call_1"]
    assert [text for text, name in read(source, [], envelope=0) if name] == ["name", "arguments", "to", "y", "id"]
    assert read('{"' + "x" * 65 + '": 1}', list(range(90))) == [("x" * 65, False)]


@pytest.mark.parametrize(
    ("beginning", "known"),
    [
        ("", None),
        (" \n", None),
        ('{"a"', True),
        (" [1", True),
        ("``", None),
        ("```js", None),
        ("```json\n", None),
        ("```json\n{", True),
        ("```\n[", True),
        ("```python\nx = {}", False),
        ('"Yes", she said', False),
        ("No {", False),
    ],
)
def test_json_is_known_by_how_it_begins(beginning: str, known: bool | None) -> None:
    assert like_json(beginning) is known
