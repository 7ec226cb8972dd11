"""How well scores separate harmful from safe, with intervals in which all answers to one prompt are one observation.

Also here: how far predicted chances can be taken at their word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.statistics.bootstrap import Estimate, bootstrap

Floats = NDArray[np.float64]

RESAMPLES = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class ScoredSet:
    """Scores (n,), whether each is of something harmful (n,), and the prompt or goal each belongs to.

    To compare two on the same things, scores are (n, 2).
    """

    scores: Floats
    harmful: NDArray[np.bool_]
    groups: tuple[Hashable, ...]

    def take(self, indices: NDArray[np.int64]) -> ScoredSet:
        return ScoredSet(self.scores[indices], self.harmful[indices], tuple(self.groups[index] for index in indices))


def auc(scored: ScoredSet) -> float:
    """The chance that a harmful score lies above a safe one, ties counting half; NaN without both."""
    return pair_auc(scored.scores[scored.harmful], scored.scores[~scored.harmful])


def pair_auc(harmful: Floats, safe: Floats) -> float:
    """The same for two samples."""
    if not len(harmful) or not len(safe):
        return math.nan
    order = np.sort(safe)
    below = np.searchsorted(order, harmful, side="left")
    up_to = np.searchsorted(order, harmful, side="right")
    return float((below + up_to).sum() / (2 * len(harmful) * len(safe)))


def auc_lead(scored: ScoredSet) -> float:
    """By how much the AUC of the first of two scores lies above that of the second."""
    one, other = (auc(replace(scored, scores=scored.scores[:, column])) for column in (0, 1))
    return one - other


def within_auc(scored: ScoredSet) -> float:
    """AUC over the pairs of one harmful and one safe answer to the same goal; NaN if no goal has both."""
    won, pairs = 0.0, 0
    _, owners = np.unique([hash(group) for group in scored.groups], return_inverse=True)
    has_both = (np.bincount(owners, scored.harmful) > 0) & (np.bincount(owners, ~scored.harmful) > 0)
    for owner in np.flatnonzero(has_both):
        mine = owners == owner
        harmful, safe = scored.scores[mine & scored.harmful], scored.scores[mine & ~scored.harmful]
        count = len(harmful) * len(safe)
        won += pair_auc(harmful, safe) * count
        pairs += count
    return won / pairs if pairs else math.nan


def detection_at(rate: float) -> Callable[[ScoredSet], float]:
    """The share of harmful scores above the threshold that at most `rate` of the safe ones exceed."""

    def detection(scored: ScoredSet) -> float:
        safe = np.sort(scored.scores[~scored.harmful])
        harmful = scored.scores[scored.harmful]
        if not len(safe) or not len(harmful):
            return math.nan
        threshold = safe[len(safe) - 1 - math.floor(rate * len(safe))]
        return float((harmful > threshold).mean())

    return detection


def estimate(statistic: Callable[[ScoredSet], float], scored: ScoredSet, seed: int) -> Estimate:
    """The statistic, with a percentile interval of `RESAMPLES` samples of whole groups, drawn with replacement."""
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(scored.groups):
        members.setdefault(group, []).append(index)
    groups = [np.array(indices) for indices in members.values()]
    return bootstrap(
        statistic(scored),
        lambda drawn: statistic(scored.take(np.concatenate([groups[index] for index in drawn]))),
        len(groups),
        RESAMPLES,
        seed,
    )


BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The predictions in one tenth of [0, 1]: how many, their mean, and the share that came true."""

    count: int
    predicted: float
    observed: float


def reliability(chances: Floats, came_true: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """The bins [0, 0.1), [0.1, 0.2), ... [0.9, 1] that hold any of the predictions (n,), in order."""
    places = np.minimum((chances * BINS).astype(np.int64), BINS - 1)
    return tuple(
        Bin(
            int((places == place).sum()),
            float(chances[places == place].mean()),
            float(came_true[places == place].mean()),
        )
        for place in np.unique(places)
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """The expected calibration error: the mean gap between predicted and observed, weighed by count."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.predicted - one.observed) for one in bins) / total
