"""Shares with exact bounds, and how many answers a claim about a share needs (Clopper and Pearson, Biometrika 1934)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.statistics.bootstrap import Estimate


def proportion(count: int, total: int, confidence: float = 0.95) -> Estimate:
    """A share with its exact interval of that confidence."""
    if not 0 <= count <= total or not total:
        raise ValueError(f"{count} of {total} is not a share")
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _solve(lambda p: 1 - at_most(count - 1, total, p), tail)
    high = 1.0 if count == total else 1 - _solve(lambda p: 1 - at_most(total - count - 1, total, p), tail)
    return Estimate(count / total, low, high, total)


def most_touched(total: int, share: float, miss: float) -> int | None:
    """How many of `total` drawn answers may be touched so that at most `share` of all answers are; None if not even 0.

    miss: the chance that the claim is wrong, one-sided: the exact upper bound of that confidence is at most `share`
    """
    sure = int(np.searchsorted(np.cumsum(_chances(total, total, share)), miss, side="right"))
    return sure - 1 if sure else None


def fewest_answers(share: float, miss: float, touched: int = 0) -> int:
    """The least number of answers of which `touched` may be so that the claim of `most_touched` holds."""
    low = touched + 1
    high = low
    while at_most(touched, high, share) > miss:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if at_most(touched, middle, share) <= miss else (middle + 1, high)
    return low


def at_most(count: int, total: int, p: float) -> float:
    """The chance of at most `count` successes in `total` trials."""
    if not 0 < p < 1:
        return 1.0 if p == 0 else float(count >= total)
    return min(1.0, float(_chances(count, total, p).sum()))


def _chances(count: int, total: int, p: float) -> NDArray[np.float64]:
    """The chance of 0, 1, ... `count` successes in `total` trials, 0 < p < 1."""
    k = np.arange(1, count + 1, dtype=np.float64)
    steps = np.log((total - k + 1) / k) + math.log(p) - math.log1p(-p)
    return np.exp(total * math.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)]))


def _solve(rising: Callable[[float], float], target: float) -> float:
    """Where a rising function on [0, 1] reaches `target`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2
