"""Figures of merit, against values that can be worked out by hand or by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.learn.fitting.quality import ScoredSet, auc, detection_at, estimate, pair_auc, within_auc
from ig_guardrail.statistics.binomial import proportion

SCORES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12)


def scored(harmful: list[float], safe: list[float], groups: list[str] | None = None) -> ScoredSet:
    labels = np.array([True] * len(harmful) + [False] * len(safe))
    names = groups or [str(number) for number in range(len(labels))]
    return ScoredSet(np.array(harmful + safe), labels, tuple(names))


@settings(deadline=None)
@given(SCORES, SCORES)
def test_auc_is_the_share_of_pairs_won_ties_half(harmful: list[float], safe: list[float]) -> None:
    won = sum((one > other) + 0.5 * (one == other) for one in harmful for other in safe)
    assert auc(scored(harmful, safe)) == pytest.approx(won / (len(harmful) * len(safe)))


def test_auc_of_one_label_alone_is_no_number() -> None:
    assert math.isnan(pair_auc(np.array([1.0]), np.array([])))


def test_within_auc_compares_answers_to_one_goal_only() -> None:
    data = scored([5.0, 1.0], [4.0, 0.0], ["a", "b", "a", "b"])
    assert auc(data) == 0.75
    assert within_auc(data) == 1.0


def test_within_auc_without_a_shared_goal_is_no_number() -> None:
    assert math.isnan(within_auc(scored([1.0], [0.0], ["a", "b"])))


def test_detection_lets_at_most_the_given_share_of_safe_scores_pass() -> None:
    data = scored([50.0, 97.0, 98.5, 200.0], [float(number) for number in range(100)])
    assert detection_at(0.05)(data) == 0.75
    assert detection_at(0.01)(data) == 0.5


def test_an_interval_is_the_same_for_the_same_seed_and_holds_the_value() -> None:
    random = np.random.default_rng(1)
    data = scored(list(random.normal(1, 1, 60)), list(random.normal(0, 1, 60)))
    first, again = estimate(auc, data, 3), estimate(auc, data, 3)
    assert first == again
    assert first.low < first.value < first.high


def test_answers_to_one_prompt_widen_the_interval() -> None:
    random = np.random.default_rng(1)
    harmful, safe = list(random.normal(1, 1, 40)), list(random.normal(0, 1, 40))
    apart = estimate(auc, scored(harmful, safe), 0)
    repeated = estimate(auc, scored(harmful * 4, safe * 4, [str(n % 40) for n in range(320)]), 0)
    split = estimate(auc, scored(harmful * 4, safe * 4), 0)
    assert split.high - split.low < 0.7 * (repeated.high - repeated.low)
    assert repeated.high - repeated.low == pytest.approx(apart.high - apart.low, rel=0.4)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (12, 316, 0.0198, 0.0654)],
)
def test_clopper_pearson_gives_the_known_intervals(count: int, total: int, low: float, high: float) -> None:
    found = proportion(count, total)
    assert (found.low, found.high) == (pytest.approx(low, abs=2e-4), pytest.approx(high, abs=2e-4))


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 of 0 is not a share"):
        proportion(0, 0)
