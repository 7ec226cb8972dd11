"""The one bootstrap: what it draws, what it leaves out, and what it says of nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.statistics.bootstrap import bootstrap


def test_a_figure_that_does_not_vary_has_an_interval_of_its_own_value() -> None:
    found = bootstrap(0.5, lambda drawn: 0.5, 9, 50, 0)
    assert (found.value, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 9)


def test_units_are_drawn_whole_with_replacement_and_the_same_each_time() -> None:
    seen: list[NDArray[np.int64]] = []
    for _ in range(2):
        bootstrap(0.0, lambda drawn: float(seen.append(drawn) or 0), 5, 3, 7)
    assert all(one.shape == (5,) and set(one) <= set(range(5)) for one in seen)
    assert [one.tolist() for one in seen[:3]] == [one.tolist() for one in seen[3:]]
    assert len({tuple(one) for one in seen[:3]}) == 3


def test_resamples_that_cannot_be_told_are_left_out() -> None:
    found = bootstrap(1.0, lambda drawn: math.nan if 0 in drawn else 2.0, 4, 200, 0)
    assert (found.low, found.high) == (2.0, 2.0)
    assert math.isnan(bootstrap(1.0, lambda drawn: math.nan, 4, 20, 0).low)


def test_infinite_figures_have_an_interval_by_the_nearest_value() -> None:
    found = bootstrap(1.0, lambda drawn: math.inf if drawn[0] else 1.0, 2, 200, 0, method="nearest")
    assert (found.low, found.high) == (1.0, math.inf)


def test_nothing_measured_is_no_figure() -> None:
    found = bootstrap(math.nan, lambda drawn: 1.0, 0, 50, 0)
    assert math.isnan(found.value)
    assert found.n == 0
