"""Bootstrap intervals: certain where nothing varies, honest where nothing was measured."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.evaluate.intervals import mean_of, ratio_of


def test_equal_values_leave_no_doubt() -> None:
    estimate = mean_of([0.5] * 10)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.5, 0.5, 0.5, 10)


def test_nothing_measured_is_nan_and_not_zero() -> None:
    estimate = mean_of([])
    assert math.isnan(estimate.value)
    assert estimate.n == 0


def test_the_same_values_give_the_same_interval() -> None:
    assert mean_of([0, 1, 1, 0, 1]) == mean_of([0, 1, 1, 0, 1])


def test_a_fair_coin_of_a_hundred_throws_is_known_to_about_ten_points() -> None:
    estimate = mean_of([0.0, 1.0] * 50)
    assert 0.37 < estimate.low < 0.43
    assert 0.57 < estimate.high < 0.63


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_the_interval_lies_within_the_values_and_around_the_mean(values: list[float]) -> None:
    estimate = mean_of(values)
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9
    assert estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9 or len(values) > 1


def test_a_ratio_resamples_pairs_together() -> None:
    estimate = ratio_of([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (estimate.value, estimate.low, estimate.high) == (2.0, 2.0, 2.0)


def test_a_ratio_to_nothing_is_infinite_or_unknown() -> None:
    assert math.isinf(ratio_of([1.0], [0.0]).value)
    assert math.isnan(ratio_of([0.0], [0.0]).value)
