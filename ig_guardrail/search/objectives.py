"""Objectives over a text, in [0, 1] or below 0: keywords it should hold, and how long it should be.

Source: the programmatic constraints of DeAL, arXiv 2402.06147. Departures: keywords count by stem, so that a plural
counts; the prompt is not searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

Objective: TypeAlias = Callable[[str], float]

_WORD = re.compile(r"\w+")
_ENDINGS = ("ing", "ed", "es", "s", "e")
SHORTEST_STEM = 3


def covers(keywords: Sequence[str]) -> Objective:
    """The share of keywords whose stem occurs."""
    wanted = {stem(word) for word in keywords}

    def objective(text: str) -> float:
        return len(wanted & {stem(word) for word in _WORD.findall(text)}) / max(1, len(wanted))

    return objective


def within_length(least: int, most: int) -> Objective:
    """0 from `least` to `most` words, and one less for every word short or beyond."""

    def objective(text: str) -> float:
        words = len(_WORD.findall(text))
        return -float(max(0, least - words) + max(0, words - most))

    return objective


def stem(word: str) -> str:
    """A word in lower case without a common English ending."""
    lower = word.lower()
    for ending in _ENDINGS:
        if lower.endswith(ending) and len(lower) - len(ending) >= SHORTEST_STEM:
            return lower.removesuffix(ending)
    return lower
