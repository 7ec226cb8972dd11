"""Stop strings: the one that is completed first ends the answer, and where tokens are cut has no say in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.decoding.answer import first_stop
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.types import Draw, Message, Sampling
from tests.examples import examples
from tests.golden.conversations import scripted_guardrail


@st.composite
def texts_and_stops(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text, and stop strings that mostly are parts of it, and so of each other."""
    text = draw(st.text("ab€😀", min_size=1, max_size=16))
    places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, 5))
    parts = places.map(lambda place: text[place[0] : sum(place)])
    return text, draw(st.lists(parts | st.text("ab€", min_size=1, max_size=4), min_size=1, max_size=4))


CASES = texts_and_stops()


def read_by_character(text: str, stops: Sequence[str]) -> str:
    """What is said, by the definition: characters in order, the first that completes a stop string ends the answer."""
    for end in range(1, len(text) + 1):
        completed = [stop for stop in stops if text[:end].endswith(stop)]
        if completed:
            return text[: end - max(map(len, completed))]
    return text


def cut_at(text: str, places: Sequence[int]) -> list[bytes]:
    """The bytes of a text, cut at places modulo its length."""
    data = text.encode()
    borders = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[start:stop] for start, stop in itertools.pairwise(borders)]


@pytest.mark.parametrize(
    ("text", "stops", "said"),
    [
        ("one abc two", ["abc", "b"], "one a"),
        ("one abc two", ["abc", "ab"], "one "),
        ("one abc two", ["bc", "abc"], "one "),
        ("one abc two", ["abcd", "c"], "one ab"),
        ("one abab two", ["abab", "ba"], "one a"),
        ("end\n\nUser: x", ["\nUser:", "\n\n"], "end"),
        ("aaa", ["aa"], ""),
    ],
)
def test_of_stop_strings_that_share_characters_the_first_completed_wins(text: str, stops: list[str], said: str) -> None:
    for told in ([text], list(text), [text[:2], text[2:]]):
        guardrail = scripted_guardrail({(0, 0): told})
        chunks = list(
            guardrail.stream(GenerationRequest((Message("user", "x"),), Sampling(stop=tuple(stops), max_tokens=64)))
        )
        assert "".join(chunk.text for chunk in chunks) == said


@given(CASES)
def test_the_definition_is_kept_in_one_search(case: tuple[str, list[str]]) -> None:
    text, stops = case
    place = first_stop(text, 0, stops)
    assert (text if place is None else text[:place]) == read_by_character(text, stops)


@given(CASES, st.lists(st.integers(0, 60), max_size=12), st.integers(1, 5))
@settings(deadline=None)
def test_an_answer_ends_at_the_same_character_however_its_bytes_are_cut(
    case: tuple[str, list[str]], places: list[int], block: int
) -> None:
    text, stops = case
    engine = ScriptedEngine(Continuations({(0, 0): cut_at(text, places)}))
    root = engine.open(engine.encode([Message("user", "x")]), Sampling(stop=tuple(stops), max_tokens=200)).result()
    node = root
    while node.finish is None:
        (node,) = engine.extend([Draw(node)], block).result()
    engine.close(root)
    assert node.text[: node.visible] == read_by_character(text, stops)
    assert node.finish == "stop"


@given(CASES, st.lists(st.integers(0, 60), max_size=12), st.sampled_from([None, "none", "cut"]))
@settings(deadline=None, max_examples=examples(40))
def test_nothing_of_a_stop_string_is_shown(
    case: tuple[str, list[str]], places: list[int], strategy: str | None
) -> None:
    text, stops = case
    guardrail = scripted_guardrail({(0, 0): cut_at(text, places)})
    ask = GenerationRequest((Message("user", "x"),), Sampling(stop=tuple(stops), max_tokens=200), strategy)
    assert "".join(chunk.text for chunk in guardrail.stream(ask)) == read_by_character(text, stops)
