"""A line: the logit or the number that a linear head gives, its standardisation multiplied out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.artifact import Artifact

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """weight . features + bias; `weight` has shape (features,)."""

    weight: Floats
    bias: float

    def at(self, features: Floats) -> float:
        """The value at one vector of features; it does not depend on what else is asked."""
        return float((features * self.weight).sum() + self.bias)


def read_line(artifact: Artifact, name: str = "") -> Line:
    """The line `name` of an artifact: weight * (x - mean) / deviation + bias. Raises ModelError if it is unfit."""
    weight = artifact.vector(f"{name}weight")
    mean, deviation = (artifact.vector(f"{name}{part}", len(weight)) for part in ("mean", "deviation"))
    if (deviation <= 0).any():
        raise artifact.unfit("a standard deviation in it is not positive")
    raw = weight / deviation
    return Line(raw, artifact.scalar(f"{name}bias") - float(raw @ mean))
