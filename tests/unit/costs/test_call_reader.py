"""Calls are read piece by piece as they are read whole, and judged the same however an answer is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.calls import CLOSE, OPEN, read, unread, written
from ig_guardrail.costs.call_reader import CallReader
from ig_guardrail.costs.tools import tool_rules
from ig_guardrail.types import Piece, Prompt

PAY = written("pay", {"to": 'a "b" \\ {', "sum": [1, {"x": -2.5}]})
WHOLE = [PAY, written("look", {}), written("say", {"text": CLOSE + OPEN})]
TORN = [OPEN, CLOSE, OPEN[:5], CLOSE[:7], OPEN + "{" * 3, '{"name": "pay", "arguments": {}}', "[1]"]
PARTS = st.sampled_from([*WHOLE, *TORN, '"', "\\", "{", "}", " ", "a", "\n", "é", "<"])
TEXTS = st.lists(PARTS, max_size=8).map("".join)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place for place in places if place < len(text))})
    return [text[a:b] for a, b in pairwise(edges)]


@given(TEXTS, CUTS)
def test_what_is_read_piece_by_piece_is_what_is_read_whole(text: str, places: list[int]) -> None:
    reader, calls = CallReader(), []
    for piece in cut(text, places):
        reader, finished = reader.read(piece)
        calls += finished
    assert tuple(calls) == read(text)[1]
    assert reader.ended().unread == (CLOSE in unread(text))


@given(TEXTS, CUTS, st.sampled_from(["pay", "*", "nobody"]))
def test_what_tool_rules_say_of_an_answer_does_not_depend_on_cuts(text: str, places: list[int], deny: str) -> None:
    rules = tool_rules("tools", ("x",), {"deny": [deny], "arguments": [{"argument": "sum", "most": 1}]})
    state = rules.start(Prompt((), (1,)))
    pieces = cut(text, places) or [""]
    for number, piece in enumerate(pieces, 1):
        ((state, scores),) = rules.advance([(state, Piece(piece, ended=number == len(pieces)))])
    assert scores == (float(rules.broken(text)),)
    if any(rules.may_call(call.name) is False for call in read(text)[1]) or CLOSE in unread(text):
        assert rules.broken(text)


def test_a_call_that_quotes_the_notation_is_judged_when_it_is_whole() -> None:
    rules = tool_rules("tools", ("x",), {"deny": ["pay"]})
    state, scores = rules.start(Prompt((), (1,))), []
    for piece in cut(written("say", {"text": f"write {CLOSE} at the end"}), [60, 80]):
        ((state, (score,)),) = rules.advance([(state, Piece(piece))])
        scores.append(score)
    assert scores == [0, 0, 0]


def test_every_name_is_judged_where_several_calls_are_begun() -> None:
    rules = tool_rules("tools", ("x",), {"deny": ["pay"]})
    assert rules.broken(OPEN + '{"name": "pay", ' + OPEN + '{"name": "look"')
