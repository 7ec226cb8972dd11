"""Figures with 95 % intervals: what is measured on drawn prompts, and how far another draw of them would move it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ENDS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, the ends of its 95 % interval, and the number of units (prompts, goals, trials) behind it."""

    value: float
    low: float
    high: float
    n: int


def bootstrap(
    value: float,
    figure: Callable[[NDArray[np.int64]], float],
    n: int,
    resamples: int,
    seed: int,
    method: Literal["linear", "nearest"] = "linear",
) -> Estimate:
    """`value` with the percentile interval of `figure` over units that are drawn with replacement.

    figure: of the units with these indices, (n,), each from 0 to n - 1; NaN where it cannot be told, and then left out
    method: how quantiles are taken between two values; "nearest" where a figure may be infinite
    """
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    random = np.random.default_rng(seed)
    drawn = [figure(random.integers(n, size=n)) for _ in range(resamples)]
    low, high = np.quantile([one for one in drawn if not np.isnan(one)] or [np.nan], ENDS, method=method)
    return Estimate(value, float(low), float(high), n)
