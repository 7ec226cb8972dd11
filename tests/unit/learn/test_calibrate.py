"""Thresholds: few harmless answers are touched by all budgets together, and too few answers support none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.thresholds import calibrate, surely_allowed, touched_share
from tests.examples import examples


def peaks(seed: int, count: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    help_, noise = random.normal(size=count), random.normal(size=count)
    return {"help": help_, "tone": 0.5 * help_ + noise}


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 1000), st.integers(72, 400), st.sampled_from([0.05, 0.1, 0.2]))
def test_the_union_of_budgets_touches_at_most_the_share(seed: int, count: int, share: float) -> None:
    scores = peaks(seed, count)
    found = calibrate(scores, surely_allowed(count, share))
    touched = sum(
        any(scores[budget][answer] > found.thresholds[budget] for budget in scores) for answer in range(count)
    )
    assert found.touched.high <= share
    assert found.touched.value == touched / count
    assert found.touched.low <= found.touched.value <= found.touched.high


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 1000))
def test_the_thresholds_are_as_low_as_the_share_allows(seed: int) -> None:
    assert calibrate(peaks(seed, 400), surely_allowed(400)).touched.value >= 0.02


@pytest.mark.slow
def test_budgets_get_like_shares() -> None:
    scores = peaks(3, 400)
    found = calibrate(scores, surely_allowed(400))
    each = {budget: float((scores[budget] > found.thresholds[budget]).mean()) for budget in scores}
    assert each["help"] == each["tone"]
    assert 0.01 <= each["help"] <= 0.03


def test_too_few_answers_are_refused_with_the_number_that_is_enough() -> None:
    with pytest.raises(GuardrailError) as raised:
        surely_allowed(71)
    assert "71 harmless answers cannot support a threshold for 5% of them" in str(raised.value)
    assert "give at least 72 answers" in str(raised.value)
    assert surely_allowed(72) == 0


def test_no_answers_are_refused() -> None:
    with pytest.raises(GuardrailError, match="0 harmless answers"):
        surely_allowed(0)


def test_answers_that_all_score_alike_are_not_touched() -> None:
    found = calibrate({"help": np.full(100, 0.3)}, surely_allowed(100))
    assert found.touched.value == 0.0


def test_the_share_on_fresh_answers_is_counted_over_all_budgets() -> None:
    fresh = {"help": np.array([0.1, 0.9, 0.1, 0.1]), "tone": np.array([0.9, 0.9, 0.1, 0.1])}
    assert touched_share(fresh, {"help": 0.5, "tone": 0.5}).value == 0.5
