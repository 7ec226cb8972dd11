"""Patterns: a match is an event of the piece it ends in, found wherever the text was cut, in linear time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.pattern import PatternCost, compile_patterns
from ig_guardrail.errors import CostFailure, ModelError
from ig_guardrail.types import Piece, Prompt
from tests.examples import examples

PROMPT = Prompt((), ())


def cost(*patterns: str, longest: int = 32) -> PatternCost:
    return compile_patterns(patterns, longest, "slurs", ("hte",))


def events(model: PatternCost, *pieces: str, ended: bool = False) -> list[float]:
    state, found = model.start(PROMPT), []
    for index, text in enumerate(pieces):
        ((state, scores),) = model.advance([(state, Piece(text, ended=ended and index == len(pieces) - 1))])
        found += scores
    return found


def test_a_match_scores_one_in_the_piece_it_ends_in() -> None:
    assert events(cost("foo"), "a foo", " b", "fo", "o!", "") == [1.0, 0.0, 0.0, 1.0, 0.0]


def test_a_match_over_three_pieces_is_found_where_it_ends() -> None:
    assert events(cost("foobar"), "x fo", "ob", "ar") == [0.0, 0.0, 1.0]


def test_a_match_is_not_counted_twice() -> None:
    assert events(cost("foo"), "foo", "foo", "o") == [1.0, 1.0, 0.0]


def test_a_match_that_a_shorter_one_overlaps_is_found() -> None:
    assert events(cost("ab|bcd"), "ab", "cd") == [1.0, 1.0]


def test_a_longer_match_from_the_same_place_is_found() -> None:
    assert events(cost("ab|abcd"), "ab", "cd") == [1.0, 1.0]


def test_a_match_longer_than_declared_is_not_found() -> None:
    model = cost("a.*b", longest=4)
    assert events(model, "axxb") == [1.0]
    assert events(model, "axxxb") == [0.0]
    assert events(model, "axx", "xb", "ab") == [0.0, 0.0, 1.0]


def test_a_short_match_inside_a_long_one_is_found() -> None:
    assert events(cost("a.*b", longest=4), "a----------ab") == [1.0]


def test_the_beginning_is_the_beginning_of_the_answer_and_not_of_the_window() -> None:
    model = cost("^foo", longest=3)
    assert events(model, "foo") == [1.0]
    assert events(model, "xxxx", "foo") == [0.0, 0.0]


def test_word_borders_look_at_text_before_the_window() -> None:
    model = cost(r"\bfoo", longest=3)
    assert events(model, "xx", "foo") == [0.0, 0.0]
    assert events(model, "x ", "foo") == [0.0, 1.0]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("(?i)ÄRGER", "mein ärger"), ("日本", "in 日本 und"), ("é{2}", "ééé"), (".😀.", "a😀b")],
)
def test_characters_beyond_ascii_count_as_one(pattern: str, text: str) -> None:
    for cut in range(len(text)):
        assert 1.0 in events(cost(pattern, longest=8), text[:cut], text[cut:])


PATTERNS = ("ab", "a+b", "(ab|bcd)", "a[bc]{1,3}d", "^ab", "d$", "b.c")


@settings(max_examples=examples(300), deadline=None)
@given(
    st.sampled_from(PATTERNS), st.integers(1, 6), st.lists(st.text(alphabet="abcd", max_size=6), min_size=1, max_size=5)
)
def test_it_finds_exactly_the_matches_that_brute_force_finds(pattern: str, longest: int, pieces: list[str]) -> None:
    found, whole, border = [], "".join(pieces), 0
    for text in pieces:
        before, border = border, border + len(text)
        spans = ((s, e) for e in range(before + 1, border + 1) for s in range(max(0, e - longest), e))
        found.append(float(any(matches(pattern, whole, start, end) for start, end in spans)))
    assert events(cost(pattern, longest=longest), *pieces, "", ended=True)[:-1] == found or pattern == "d$"
    assert max(events(cost(pattern, longest=longest), *pieces, ended=True)) == max(found)


def matches(pattern: str, text: str, start: int, end: int) -> bool:
    """Whether the pattern, with its assertions, spans text[start:end]."""
    if pattern.startswith("^") and start:
        return False
    if pattern.endswith("$") and end < len(text):
        return False
    return re.fullmatch(pattern, text[start:end]) is not None


def test_only_as_much_text_is_kept_as_a_match_can_span() -> None:
    model = cost("a{1,8}", longest=8)
    ((state, _),) = model.advance([(model.start(PROMPT), Piece("x" * 10_000))])
    assert max(map(len, (state.written, state.composed, state.folded, state.waiting))) == 10


def test_nested_repeats_do_not_explode() -> None:
    assert events(cost("(a*)*b", longest=64), *["a" * 64] * 200) == [0.0] * 200


def test_any_of_several_patterns_is_enough() -> None:
    assert events(cost("foo", "bar"), "a bar") == [1.0]


@pytest.mark.parametrize("pattern", ["(?<=a)b", "(", r"(a)\1"])
def test_a_pattern_that_re2_refuses_is_refused_with_its_reason(pattern: str) -> None:
    with pytest.raises(ModelError) as raised:
        cost(pattern)
    assert f"the pattern {pattern!r} does not compile" in str(raised.value)
    assert "RE2 has no look-around" in str(raised.value)


def test_a_pattern_that_closes_a_group_it_did_not_open_is_refused() -> None:
    with pytest.raises(ModelError, match="does not compile"):
        cost("a)|(b")


def test_a_pattern_that_matches_nothing_at_all_is_refused() -> None:
    with pytest.raises(ModelError, match=r"matches the empty text"):
        cost("a*")


def test_a_cost_without_patterns_or_length_is_refused() -> None:
    with pytest.raises(ModelError, match="needs patterns and a longest_match of at least 1"):
        compile_patterns([], 8, "slurs", ("hte",))
    with pytest.raises(ModelError, match="needs patterns and a longest_match of at least 1"):
        cost("a", longest=0)


def test_text_that_is_not_unicode_is_a_failure_and_no_score() -> None:
    with pytest.raises(CostFailure, match="the text is not Unicode"):
        events(cost("a"), "\ud800")


def test_patterns_length_and_hazards_are_part_of_its_hash() -> None:
    hashes = {
        cost("a").sha256,
        cost("b").sha256,
        cost("a", longest=33).sha256,
        compile_patterns(["a"], 32, "slurs", ("ssh",)).sha256,
    }
    assert len(hashes) == 4
