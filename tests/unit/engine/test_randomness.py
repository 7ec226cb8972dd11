"""The uniforms: a pure function of seed, position, lane and attempt, and evenly spread over each of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.engine.decoding.randomness import uniform

BINS = 16
WORST_CHI_SQUARE = 44.3  # 15 degrees of freedom, p = 0.0001


def chi_square(values: Iterable[float]) -> float:
    counts = [0] * BINS
    for value in values:
        counts[int(value * BINS)] += 1
    expected = sum(counts) / BINS
    return sum((count - expected) ** 2 / expected for count in counts)


@given(st.integers(), st.integers(0, 2**40), st.integers(0, 2**20), st.integers(0, 2**20))
def test_it_lies_in_the_unit_interval_and_depends_on_nothing_else(
    seed: int, position: int, lane: int, attempt: int
) -> None:
    first = uniform(seed, position, lane, attempt)
    uniform(seed + 1, position, lane, attempt)
    assert 0 <= first < 1
    assert uniform(seed, position, lane, attempt) == first


@pytest.mark.parametrize("axis", range(4))
def test_it_is_even_along_every_axis(axis: int) -> None:
    keys = ([7 if other != axis else i for other in range(4)] for i in range(8000))
    assert chi_square(uniform(*key) for key in keys) < WORST_CHI_SQUARE


def test_neighbouring_lanes_do_not_follow_each_other() -> None:
    differences = ((uniform(1, i, 0, 0) - uniform(1, i, 1, 0)) % 1 for i in range(8000))
    assert chi_square(differences) < WORST_CHI_SQUARE


def test_places_close_together_are_all_different() -> None:
    places = list(itertools.product(range(4), range(8), range(8), range(4)))
    assert len({uniform(*place) for place in places}) == len(places)


def test_the_numbers_never_change() -> None:
    """Recorded answers are generated again from their seeds."""
    assert [uniform(0, 0, 0, 0), uniform(11, 5, 2, 1)] == [0.6299085342998937, 0.028085373173759254]
