"""CPU time of the whole process, of runs that take turns, and rows made of their ratios."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

from ig_guardrail.evaluate import tables
from speed.stage import BLOCK, Say

T = TypeVar("T")


@dataclass(slots=True)
class Watch:
    """CPU seconds of an answer: `whole`, prompt included, and `rest`, what follows its first block of 16 tokens."""

    began: float = field(default_factory=time.process_time)
    first: float | None = None
    ended: float = 0.0

    def mark(self) -> None:
        """The first block is there; later calls change nothing."""
        if self.first is None:
            self.first = time.process_time()

    def stop(self) -> Watch:
        self.ended = time.process_time()
        return self

    @property
    def whole(self) -> float:
        return self.ended - self.began

    @property
    def rest(self) -> float:
        assert self.first is not None, f"no block of {BLOCK} tokens was seen"
        return self.ended - self.first


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def in_turn(runs: Mapping[str, Callable[[int], T]], rounds: int, say: Say) -> dict[str, list[T]]:
    """Every run once a round, called with the round's number from 0; who begins changes from round to round."""
    results: dict[str, list[T]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            gc.collect()
            results[name].append(runs[name](number))
        say(f"  round {number + 1} of {rounds}")
    return results


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Pair by pair."""
    return [one / other for one, other in zip(above, below, strict=True)]


def row(
    part: str,
    name: str,
    title: str,
    values: Sequence[float],
    at_most: float | None = None,
    at_least: float | None = None,
) -> tables.Row:
    """The median of repeated figures, between the lowest and the highest."""
    value = median(values)
    bound, ok = None, None
    if at_most is not None:
        bound, ok = f"<= {at_most:g}", value <= at_most
    if at_least is not None:
        bound, ok = f">= {at_least:g}", value >= at_least
    ends = [round(min(values), 4), round(max(values), 4)]
    return tables.row(part, name, title, round(value, 4), ends, len(values), bound, ok)


def count_row(part: str, name: str, title: str, count: int, n: int) -> tables.Row:
    """How often something happened that must never happen, in `n` tries."""
    return tables.row(part, name, title, count, None, n, "= 0", count == 0)
