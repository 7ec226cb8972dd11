"""Logits become scores that stay apart where it matters."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.heads.linear import Scale, scale_between
from ig_guardrail.types import CostModelSpec


def test_the_harmless_mean_scores_a_tenth_and_the_reached_logit_a_half() -> None:
    scale = scale_between(-3.0, 1.0)
    assert scale.score(-3.0) == pytest.approx(0.1)
    assert scale.score(1.0) == pytest.approx(0.5)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_higher_logit_never_scores_lower(one: float, other: float) -> None:
    scale = Scale(0.5, 2.0)
    low, high = sorted((one, other))
    assert 0.0 <= scale.score(low) <= scale.score(high) <= 1.0


def test_no_logit_overflows() -> None:
    scale = Scale(0.0, 1e-6)
    assert scale.score(-1e300) == pytest.approx(0.0)
    assert scale.score(1e300) == 1.0


def test_nan_stays_nan() -> None:
    assert math.isnan(Scale(0.0, 1.0).score(math.nan))


def test_a_reached_logit_below_the_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie above the harmless mean"):
        scale_between(1.0, 1.0)


SCALES = st.floats(0, 1, exclude_min=True)


@settings(deadline=None)
@given(SCALES, SCALES, st.lists(st.floats(0, 1), max_size=8))
@example(0.2, 0.215, [])
@example(0.803, 0.66, [])
@example(1.0, 5e-324, [0.5])
def test_on_another_scale_scores_stay_scores_and_in_order(own: float, counts: float, scores: list[float]) -> None:
    spec = CostModelSpec("help", "toy", ("hte",), {}, 1.0, scale=(own, counts))
    assert (spec.counted(0.0), spec.counted(own), spec.counted(1.0)) == (0.0, counts, 1.0 if own < 1 else counts)
    around = sorted({0.0, math.nextafter(own, 0), own, math.nextafter(own, 1), 1.0, *scores})
    counted = [spec.counted(score) for score in around]
    assert counted == sorted(counted)
    assert 0 <= counted[0] <= counted[-1] <= 1
