"""Runs that take turns, the CPU time of the whole process, and rows made of ratios."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from ig_guardrail.evaluate import tables

T = TypeVar("T")
NEW = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # of new processes: modules are compiled once, as for users


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def lasted(code: str, argument: str, _: int = 0) -> float:
    """Wall seconds of a new process that runs some code with an argument; the round's number changes nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, argument], check=True, capture_output=True, env=NEW)
    return time.perf_counter() - began


def in_turn(runs: Mapping[str, Callable[[int], T]], rounds: int, what: str) -> dict[str, list[T]]:
    """Every run once a round, called with the round's number from 0; who begins changes from round to round."""
    results: dict[str, list[T]] = {name: [] for name in runs}
    names = list(runs)
    for number in track(range(rounds), what, console=Console(stderr=True)):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            gc.collect()
            results[name].append(runs[name](number))
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
