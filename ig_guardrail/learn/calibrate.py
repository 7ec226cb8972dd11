"""Thresholds that harmless answers seldom reach, over all budgets of a policy together.

What counts is the event "some charge point of the answer lies above the threshold", since one is enough for a guard to
step in. The answers are the model's own, to harmless questions, at the temperature it will be used at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.quality import Estimate, proportion

Floats = NDArray[np.float64]

SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds by budget, and the share of `answers` harmless answers that any of them touches."""

    thresholds: Mapping[str, float]
    touched: Estimate
    answers: int


def calibrate(peaks: Mapping[str, Floats], allowed: int) -> Calibration:
    """The lowest thresholds, one quantile for all budgets, such that at most `allowed` answers are touched by any.

    `peaks` holds for each budget the highest score at a charge point of each answer (answers,), in one order; there
    is at least one answer.
    """
    scores = np.stack([peaks[budget] for budget in peaks], axis=1)
    count = len(scores)
    ranks = np.sort(scores, axis=0)
    # Highest peaks first: let `above` of each budget's answers lie above its threshold, as many as the union allows.
    thresholds = ranks[-1]
    for above in range(1, count):
        lower = ranks[count - 1 - above]
        if int((scores > lower).any(axis=1).sum()) > allowed:
            break
        thresholds = lower
    touched = int((scores > thresholds).any(axis=1).sum())
    return Calibration(dict(zip(peaks, map(float, thresholds), strict=True)), proportion(touched, count), count)


def surely_allowed(count: int, share: float = SHARE) -> int:
    """How many of `count` answers may be touched so that at most `share` of all such answers are, with 95 % confidence.

    The upper end of the exact interval lies below `share`, not only the estimate. Raises GuardrailError if there are
    too few answers for the claim: were none touched, the interval would still reach above `share`.
    """
    if not count or proportion(0, count).high > share:
        raise GuardrailError(
            f"{count} harmless answers cannot support a threshold for {share:.0%} of them",
            where="calibration",
            why="the 95% interval would reach above that share even if none were touched",
            fix=f"give at least {_fewest(share)} answers",
        )
    return next(touched for touched in range(count) if proportion(touched + 1, count).high > share)


def touched_share(peaks: Mapping[str, Floats], thresholds: Mapping[str, float]) -> Estimate:
    """The share of other answers that any threshold touches, with its exact interval."""
    over = np.stack([peaks[budget] > thresholds[budget] for budget in thresholds], axis=1)
    return proportion(int(over.any(axis=1).sum()), len(over))


def _fewest(share: float) -> int:
    count = 1
    while proportion(0, count).high > share:
        count += 1
    return count
