"""Means with 95 % intervals by the bootstrap over prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.statistics.bootstrap import Estimate, bootstrap

Row = TypeVar("Row")

RESAMPLES = 2_000
SEED = 20_260


def mean_of(values: Sequence[float]) -> Estimate:
    """The mean; for paired differences too, whose pairs are then resampled together."""
    return estimate([list(values)], lambda means: means[0])


def share_of(rows: Sequence[Row], holds: Callable[[Row], bool]) -> Estimate:
    """The share of rows of which something holds."""
    return mean_of([float(holds(row)) for row in rows])


def ratio_of(values: Sequence[float], others: Sequence[float]) -> Estimate:
    """The ratio of the means of paired values. Infinite where the second mean is 0 and the first is not."""
    return estimate([list(values), list(others)], lambda means: _divide(means[0], means[1]))


def estimate(columns: Sequence[Sequence[float]], figure: Callable[[NDArray[np.float64]], float]) -> Estimate:
    """`figure` of the column means, and its percentile interval; rows are resampled whole, seed and count fixed."""
    table = np.asarray(columns, dtype=np.float64)
    n = table.shape[1]
    value = float(figure(table.mean(axis=1))) if n else float("nan")
    return bootstrap(value, lambda rows: figure(table[:, rows].mean(axis=1)), n, RESAMPLES, SEED, method="nearest")


def _divide(one: float, other: float) -> float:
    if other == 0:
        return float("nan") if one == 0 else float("inf")
    return float(one / other)
