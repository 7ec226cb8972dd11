"""Stop strings: found when completed, wherever tokens cut them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.engine.decoding.answer import first_stop

TEXT = st.text("ab€ ", max_size=12)


def test_the_one_completed_first_is_taken() -> None:
    assert first_stop("one two three", 0, ("three", "two")) == 4
    assert first_stop("one two three", 0, ("o t", "two", "one t")) == 0
    assert first_stop("one two three", 0, ("one two", "ne")) == 1


def test_nothing_is_found_where_there_is_nothing() -> None:
    assert first_stop("one two", 0, ()) is None
    assert first_stop("one two", 0, ("three",)) is None
    assert first_stop("one two", 0, ("",)) is None


def test_what_was_complete_before_is_not_found_again() -> None:
    assert first_stop("stop it", 4, ("stop",)) is None
    assert first_stop("stop it", 3, ("stop",)) == 0


@given(TEXT, st.lists(st.text("ab€ ", min_size=1, max_size=4), max_size=3), st.integers(1, 4))
def test_growing_a_text_finds_what_searching_the_whole_finds(text: str, stops: list[str], step: int) -> None:
    """Whatever the steps, the same stop string is found: the one that the whole text completes first."""
    whole = first_stop(text, 0, stops)
    for known in range(0, len(text), step):
        found = first_stop(text[: known + step], known, stops)
        if found is not None:
            assert found == whole
            return
    assert whole is None
