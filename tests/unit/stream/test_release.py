"""The hold-back: what may be shown of a node, for each reason to wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.stream.release import Hold, releasable, stop_prefix, tokens_behind
from ig_guardrail.types import Node


def node(pieces: list[str], finish: str | None = None, visible: int | None = None) -> Node:
    text = "".join(pieces)
    ends = [len("".join(pieces[: i + 1])) for i in range(len(pieces))]
    root = Node(0, 0, None, (), 0, "", (), 0)
    ids = tuple(range(len(pieces)))
    return Node(1, 0, root, ids, len(ids), text, tuple(ends), len(text) if visible is None else visible, finish=finish)  # type: ignore[arg-type]


def test_nothing_after_the_last_passed_charge_point_is_shown() -> None:
    assert releasable(node(["a", "b", "c", "d"]), 2, Hold()) == 2


def test_the_last_tokens_are_held_for_backing_up() -> None:
    assert releasable(node(["aa", "b", "c", "d"]), 4, Hold(tokens=3)) == 2
    assert releasable(node(["aa", "b", "c", "d"]), 1, Hold(tokens=1)) == 2
    assert releasable(node(["aa"]), 1, Hold(tokens=9)) == 0


def test_text_that_a_longer_match_may_begin_in_is_held() -> None:
    assert releasable(node(["abcdef"]), 1, Hold(match=4)) == 3
    assert releasable(node(["abcdef"]), 1, Hold(match=1)) == 6


def test_characters_that_nobody_sees_do_not_count_as_held() -> None:
    assert releasable(node(["abc\u200b\u200b\u200bdef"]), 1, Hold(match=4)) == 3
    assert releasable(node(["abcde\u0301f"]), 1, Hold(match=3)) == 4
    assert releasable(node(["\u200b" * 9]), 1, Hold(match=2)) == 0


def test_an_escape_in_json_counts_as_the_character_it_stands_for() -> None:
    said = '{"a": "\\u0061\\u200b\\nb'
    assert releasable(node([said]), 1, Hold(match=3)) == len(said) - len("\\u200b\\nb")
    assert releasable(node([said]), 1, Hold(match=4)) == len(said) - len("\\u0061\\u200b\\nb")


def test_a_stop_string_is_never_half_shown() -> None:
    assert releasable(node(["say ", "EN"]), 2, Hold(stops=("END",))) == 4
    assert releasable(node(["say ", "END"], "stop", visible=4), 2, Hold(stops=("END",))) == 4


def test_a_finished_answer_is_shown_whole() -> None:
    assert releasable(node(["a", "b"], "length"), 0, Hold(tokens=9, match=9)) == 2


@given(st.text(max_size=12), st.lists(st.text(min_size=1, max_size=5), max_size=4))
def test_stop_prefix_is_the_longest_proper_overlap(text: str, stops: list[str]) -> None:
    brute = max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
    assert stop_prefix(text, tuple(stops)) == brute


@given(st.lists(st.text(max_size=3), max_size=12), st.data())
def test_tokens_behind_is_the_fewest_that_cover_the_text(pieces: list[str], data: st.DataObject) -> None:
    one = node(pieces)
    characters = data.draw(st.integers(0, len(one.text)))
    brute = next(p for p in range(len(pieces) + 1) if one.characters_at(p) >= characters)
    assert tokens_behind(one, characters) == brute
