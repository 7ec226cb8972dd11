"""Exact bounds of shares, against sums of exact fractions, and what they promise."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest

from ig_guardrail.statistics.binomial import at_most, fewest_answers, most_touched, proportion


def exact(count: int, total: int, p: Fraction) -> Fraction:
    return sum((comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(count + 1)), Fraction(0))


@pytest.mark.parametrize(("count", "total", "p"), [(0, 10, "1/50"), (3, 40, "1/7"), (9, 9, "1/2"), (17, 400, "1/25")])
def test_the_chance_of_few_successes_is_the_sum_of_their_chances(count: int, total: int, p: str) -> None:
    assert at_most(count, total, float(Fraction(p))) == pytest.approx(float(exact(count, total, Fraction(p))))


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("count", "total"), [(0, 30), (4, 30), (30, 30), (7, 500)])
def test_the_ends_of_an_interval_leave_half_the_rest_each(count: int, total: int, confidence: float) -> None:
    found = proportion(count, total, confidence)
    tail = (1 - confidence) / 2
    if count < total:
        assert at_most(count, total, found.high) == pytest.approx(tail, rel=1e-6)
    if count:
        assert 1 - at_most(count - 1, total, found.low) == pytest.approx(tail, rel=1e-6)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize(("share", "miss"), [(0.02, 0.05), (0.05, 0.025), (0.2, 0.01)])
@pytest.mark.parametrize("touched", [0, 1, 5])
def test_the_fewest_answers_are_enough_and_one_fewer_are_not(share: float, miss: float, touched: int) -> None:
    count = fewest_answers(share, miss, touched)
    assert most_touched(count, share, miss) == touched
    before = most_touched(count - 1, share, miss)
    assert before is None if touched == 0 else before == touched - 1


def test_the_upper_bound_of_what_may_be_touched_lies_below_the_share_and_of_one_more_above() -> None:
    allowed = most_touched(400, 0.02, 0.05)
    assert allowed == 3
    assert proportion(allowed, 400, 0.9).high <= 0.02 < proportion(allowed + 1, 400, 0.9).high
