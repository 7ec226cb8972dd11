"""Windows of a growing text: the same however it was cut, every word in one, none larger than it may be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.costs.encoder.windows import LONGEST_RUN, LONGEST_WORD, CountPieces, TextWindows, WindowShape

SHAPE = WindowShape(8, 3)
TEXTS = st.text(alphabet="ab \n\u00a0\u200b\u00e9\u0301\ufb01\u0410\u4e00\U0001f642.", max_size=80) | st.text(
    max_size=60
)


def count(word: str) -> int:
    return 1 + len(word) // 4


def windows_of(text: str, shape: WindowShape, count: CountPieces) -> list[str]:
    """The windows of a whole text, the last one not full."""
    read, full = TextWindows().read(text, True, shape, count)
    return [*full, read.open] if read.words else full


def folded(text: str, cuts: list[int], shape: WindowShape = SHAPE) -> tuple[TextWindows, list[str]]:
    places = sorted({0, *(cut % (len(text) + 1) for cut in cuts), len(text)})
    reader, full = TextWindows(), []
    for start, stop in pairwise(places):
        reader, filled = reader.read(text[start:stop], False, shape, count)
        full += filled
    return reader, full


@given(TEXTS, st.lists(st.integers(0, 200), max_size=6))
def test_however_a_text_was_cut_its_windows_are_the_same(text: str, cuts: list[int]) -> None:
    assert folded(text, cuts) == folded(text, [])
    reader, full = folded(text, cuts)
    ended, filled = reader.read("", True, SHAPE, count)
    assert [*full, *filled, *([ended.open] if ended.words else [])] == windows_of(text, SHAPE, count)


@given(TEXTS)
def test_every_word_is_in_a_window_and_in_order(text: str) -> None:
    words = windows_of(text, WindowShape(1_000_000, 0), count)
    wanted = words[0].split(" ") if words else []
    read: list[str] = []
    for window in windows_of(text, SHAPE, count):
        mine = window.split(" ")
        assert sum(map(count, mine)) <= SHAPE.pieces or len(mine) == 1
        fresh = next(
            n for n in range(len(mine) + 1) if read[len(read) - n :] == mine[:n] and _is_rest(read, mine[n:], wanted)
        )
        assert sum(map(count, mine[:fresh])) <= SHAPE.overlap
        read += mine[fresh:]
    assert read == wanted


def _is_rest(read: list[str], more: list[str], wanted: list[str]) -> bool:
    return wanted[len(read) : len(read) + len(more)] == more and bool(more)


def test_a_window_is_full_when_the_next_word_does_not_fit_and_its_end_begins_the_next() -> None:
    shape = WindowShape(3, 1)
    assert windows_of("a b c d e", shape, lambda word: 1) == ["a b c", "c d e"]
    assert windows_of("a b c", shape, lambda word: 1) == ["a b c"]
    assert windows_of("a b c", WindowShape(3, 0), lambda word: 2) == ["a", "b", "c"]


def test_a_word_at_the_end_waits_until_it_is_whole() -> None:
    reader, _ = TextWindows().read("kill", False, SHAPE, count)
    assert reader.open == ""
    reader, _ = reader.read("ed it", False, SHAPE, count)
    assert reader.open == "killed"
    reader, _ = reader.read("", True, SHAPE, count)
    assert reader.open == "killed it"


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000"])
def test_a_blank_text_has_no_windows(blank: str) -> None:
    assert windows_of(blank, SHAPE, count) == []


def test_a_text_without_white_space_is_read_in_parts_and_does_not_wait_for_ever() -> None:
    reader, full = TextWindows().read("x" * (LONGEST_RUN + 5), False, WindowShape(1_000, 0), len)
    assert reader.tail == "x" * 5
    assert full == []
    assert reader.words == ("x" * LONGEST_WORD,) * (LONGEST_RUN // LONGEST_WORD)


def test_words_are_read_without_disguises() -> None:
    assert windows_of("k\u200bi\u200bll \u0430\uff42", SHAPE, count) == ["kill ab"]
    assert windows_of("half \ud83d pair", SHAPE, count) == ["half ? pair"]
