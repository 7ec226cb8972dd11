"""Chooses settings on the validation rows: not the luckiest, but the plainest among those that cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.learn.looks import Looks
from ig_guardrail.learn.quality import pair_auc

Floats = NDArray[np.float64]


class HasLogits(Protocol):
    """A fitted head: one logit for each look."""

    @property
    def logits(self) -> Floats: ...


F = TypeVar("F", bound=HasLogits)


def choose_fit(looks: Looks, fits: Iterable[F], order: Callable[[F], tuple[float, ...]]) -> tuple[F, float]:
    """Of the fits within one standard error of the best on the validation rows, the first in `order`; and its AUC.

    The rule of one standard error: Breiman and others, Classification and Regression Trees, 1984.
    """
    rated = [(*validation_auc(looks, fit.logits), fit) for fit in fits]
    best, error, _ = max(rated, key=lambda rating: rating[0])
    near = [(value, fit) for value, _, fit in rated if value >= best - error]
    value, fit = min(near, key=lambda rating: order(rating[1]))
    return fit, value


def validation_auc(looks: Looks, logits: Floats) -> tuple[float, float]:
    """AUC at the end of validation answers, averaged over the sources of harm, and its standard error.

    A source without safe rows is held against the safe rows of all. Raises ValueError if nothing can be compared.
    """
    ends = looks.at_end(logits)
    values, errors = [], []
    for source in dict.fromkeys(row.source for row in looks.rows):
        harmful = _validation(looks, ends, "harmful", source)
        safe = _validation(looks, ends, "safe", source)
        safe = safe if len(safe) else _validation(looks, ends, "safe")
        if len(harmful) and len(safe):
            values.append(pair_auc(harmful, safe))
            errors.append(auc_error(values[-1], len(harmful), len(safe)))
    if not values:
        raise ValueError("there are no validation rows of both labels")
    return float(np.mean(values)), math.hypot(*errors) / len(errors)


def auc_error(value: float, harmful: int, safe: int) -> float:
    """The standard error of an AUC (Hanley and McNeil, Radiology 1982)."""
    two_harmful, two_safe = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (harmful - 1) * (two_harmful - value**2) + (safe - 1) * (two_safe - value**2)
    return math.sqrt(max(0.0, variance) / (harmful * safe))


def _validation(looks: Looks, ends: Floats, label: str, source: str | None = None) -> Floats:
    chosen = [
        row.split == "validation" and row.label == label and (source is None or row.source == source)
        for row in looks.rows
    ]
    picked: Floats = ends[np.array(chosen, dtype=bool)]
    return picked
