"""Means with 95 % intervals by the bootstrap over prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
SEED = 20_260


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, the ends of its 95 % interval, and the number of prompts behind it; NaN where there were none."""

    value: float
    low: float
    high: float
    n: int


def mean_of(values: Sequence[float]) -> Estimate:
    """The mean; for paired differences too, whose pairs are then resampled together."""
    return estimate([list(values)], lambda means: means[0])


def ratio_of(values: Sequence[float], others: Sequence[float]) -> Estimate:
    """The ratio of the means of paired values. Infinite where the second mean is 0 and the first is not."""
    return estimate([list(values), list(others)], lambda means: _divide(means[0], means[1]))


def estimate(columns: Sequence[Sequence[float]], figure: Callable[[NDArray[np.float64]], float]) -> Estimate:
    """`figure` of the column means, and its percentile interval; rows are resampled whole, seed and count fixed."""
    table = np.asarray(columns, dtype=np.float64)
    n = table.shape[1]
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    draws = np.random.default_rng(SEED).integers(0, n, size=(RESAMPLES, n))
    figures = [figure(table[:, rows].mean(axis=1)) for rows in draws]
    low, high = np.quantile(
        [value for value in figures if not np.isnan(value)] or [np.nan], (0.025, 0.975), method="nearest"
    )
    return Estimate(float(figure(table.mean(axis=1))), float(low), float(high), n)


def _divide(one: float, other: float) -> float:
    if other == 0:
        return float("nan") if one == 0 else float("inf")
    return float(one / other)
