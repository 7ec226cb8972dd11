"""From a logit to a score in [0, 1]: one logistic curve, set on harmless answers of the model itself.

`centre` is the logit that 5% of harmless answers reach at some charge point; it scores 0.5. `width` is chosen so that
the mean harmless logit scores 0.1. One standard deviation of harmless logits then moves a score near 0.5 by about a
quarter: differences stay visible from the harmless mean to well past the threshold.

A `LinearMap` is the logit or the number that a linear head gives, its standardisation multiplied out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.artifact import Artifact

HARMLESS_SCORE = 0.1
_SATURATED = 700.0


@dataclass(frozen=True, slots=True)
class Scale:
    """score = 1 / (1 + exp(-(logit - centre) / width)), width > 0, logits in natural log odds."""

    centre: float
    width: float

    def score(self, logit: float) -> float:
        """The score of a logit; NaN for NaN."""
        steps = (logit - self.centre) / self.width
        if math.isnan(steps):
            return math.nan
        return 1.0 / (1.0 + math.exp(-max(-_SATURATED, min(_SATURATED, steps))))


def scale_between(mean: float, reached: float) -> Scale:
    """The curve through (`mean`, 0.1) and (`reached`, 0.5). Raises ValueError unless mean < reached."""
    if not mean < reached:
        raise ValueError(f"the logit at 0.5 ({reached}) must lie above the harmless mean ({mean})")
    return Scale(reached, (reached - mean) / math.log(1 / HARMLESS_SCORE - 1))


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LinearMap:
    """weight . features + bias; `weight` has shape (features,)."""

    weight: Floats
    bias: float

    def at(self, features: Floats) -> float:
        """The value at one vector of features; it does not depend on what else is asked."""
        return float((features * self.weight).sum() + self.bias)


def read_line(artifact: Artifact, name: str = "", size: int | None = None) -> LinearMap:
    """The line `name` of an artifact: weight * (x - mean) / deviation + bias. Raises ModelError if it is unfit.

    size: how many features it has to read; any if None
    """
    weight = artifact.vector(f"{name}weight", size)
    mean, deviation = (artifact.vector(f"{name}{part}", len(weight)) for part in ("mean", "deviation"))
    if (deviation <= 0).any():
        raise artifact.unfit("a standard deviation in it is not positive")
    raw = weight / deviation
    return LinearMap(raw, artifact.scalar(f"{name}bias") - float(raw @ mean))
