"""Calls found as an answer grows are those that are read in the whole of it, however it is cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.costs.calls.reader import CallReader
from ig_guardrail.text.call_notation import before_calls
from ig_guardrail.text.calls import CLOSE, OPEN, first_call, format_call, parse_calls
from ig_guardrail.types import Piece, ToolCall

BITS = [
    ".",
    "\t",
    OPEN,
    CLOSE,
    OPEN[:5],
    CLOSE[:4],
    " ",
    "\n",
    "{",
    "}",
    '"',
    "\\",
    "x",
    '{"name": "f", "arguments": {}}',
]
texts = st.lists(
    st.sampled_from(
        [*BITS, '{"name": "f", "arguments": {}}', format_call("pay", {"to": CLOSE + '\\"'}), format_call("f", {})]
    )
).map("".join)


def made(text: str, cuts: list[int], words: int | None = None) -> list[ToolCall | str]:
    """The calls of a text that is read in pieces, up to one that cannot be read."""
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    reader, calls = CallReader(), []
    for start, stop in pairwise(edges):
        left = None if words is None else min(max(0, words - start), stop - start)
        reader = reader.read(Piece(text[start:stop], words=left))
        calls += reader.made
    return calls


@given(texts, st.lists(st.integers(0, 300)))
def test_they_are_those_of_the_whole_text(text: str, cuts: list[int]) -> None:
    found = made(text, cuts)
    readable = next((place for place, call in enumerate(found) if isinstance(call, str)), len(found))
    assert tuple(found[:readable]) == parse_calls(text)[1]
    assert found == made(text, list(range(len(text))))


@given(texts, texts, st.lists(st.integers(0, 300)))
def test_words_that_are_known_for_words_hide_no_call_and_are_none(words: str, behind: str, cuts: list[int]) -> None:
    calls = format_call("pay", {"note": behind}) + format_call("f", {})
    expected: list[Any] = [ToolCall("pay", {"note": behind}), ToolCall("f", {})]
    assert made(words + calls, cuts, words=len(words)) == expected
    assert parse_calls(words + calls, len(words)) == (words, tuple(expected))


@given(texts)
def test_before_what_may_become_a_call_all_is_words(text: str) -> None:
    certain = before_calls(text, ended=False)
    assert certain <= first_call(text)
    for more in ("", "<", OPEN + "{", " {", "{", "_call>{", ">{", "x"):
        assert first_call(text + more) >= certain


@pytest.mark.parametrize("space", ["", " ", "\n", "\n\n  "])
def test_white_space_between_and_inside_calls_is_read(space: str) -> None:
    bare = '{"name": "f", "arguments": {}}'
    text = f"Well. {OPEN}{space}{bare}{space}{CLOSE}{space}{OPEN}{space}{bare}{space}{CLOSE}{space}"
    assert parse_calls(text) == ("Well. ", (ToolCall("f", {}), ToolCall("f", {})))
    assert made(text, list(range(len(text)))) == [ToolCall("f", {}), ToolCall("f", {})]


def test_a_name_is_known_before_the_call_is_whole() -> None:
    reader = CallReader().read(Piece(f'I will. {OPEN}\n{{"name" : "dele')).read(Piece('te"'))
    assert reader.naming == "delete"
    assert reader.read(Piece(', "arguments": {}}' + CLOSE)).naming is None


def test_what_cannot_be_read_is_handed_on_and_hides_nothing() -> None:
    deep = OPEN + '{"name": "f", "arguments": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}" + CLOSE
    assert made(deep + format_call("f", {}), [50, 70_000]) == [deep, ToolCall("f", {})]
