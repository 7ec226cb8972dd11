"""Lines through standardised features, with what undoes the standardising: logistic or least squares, L2 penalty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.learn.logistic import Labels, Linear, fit_dense

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Mean and spread of every feature (d,), over the examples that are learned from."""

    mean: Floats
    deviation: Floats

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        scaled: Floats = (features - self.mean) / self.deviation
        return scaled


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A line, the standard of its features, and its penalty."""

    line: Linear
    standard: Standard
    l2: float

    def values(self, features: NDArray[np.floating]) -> Floats:
        """(n,): the line at features of shape (n, d)."""
        found: Floats = self.standard(features) @ self.line.weight + self.line.bias
        return found

    def tensors(self, name: str = "") -> Mapping[str, NDArray[Any]]:
        """As an artifact keeps it, under `name`."""
        parts = {
            "weight": self.line.weight,
            "bias": np.array([self.line.bias]),
            "mean": self.standard.mean,
            "deviation": self.standard.deviation,
        }
        return {f"{name}{part}": value.astype(np.float32) for part, value in parts.items()}


def fit_logistic(features: NDArray[np.floating], labels: Labels, l2: float) -> Fitted:
    """The log odds of `labels.harmful`, whatever it marks; features (n, d)."""
    standard = _standard(features)
    return Fitted(fit_dense(standard(features), labels, l2), standard, l2)


def fit_least_squares(features: NDArray[np.floating], targets: Floats, share: Floats, l2: float) -> Fitted:
    """Targets (n,), each of which counts `share` (n,), summing to 1."""
    standard = _standard(features)
    scaled = standard(features)
    centre, bias = share @ scaled, float(share @ targets)
    moved = scaled - centre
    weighed = moved * share[:, None]
    curvature = weighed.T @ moved + l2 * np.eye(len(centre))
    weight = np.linalg.solve(curvature, weighed.T @ (targets - bias)).astype(np.float64)
    return Fitted(Linear(weight, bias - float(centre @ weight)), standard, l2)


def _standard(features: NDArray[np.floating]) -> Standard:
    read = features.astype(np.float64)
    return Standard(read.mean(axis=0), np.maximum(read.std(axis=0), 1e-6))
