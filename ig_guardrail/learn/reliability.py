"""How far predicted chances can be taken at their word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

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
