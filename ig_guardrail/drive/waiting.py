"""What a drive asks of its runner, wait for a future or show a text, and how the runner says that time is up."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for `future`, at most `seconds`; past that the runner throws OutOfTime into the generator."""

    future: Future[Any]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """Text that left the gate."""

    text: str


Waiting: TypeAlias = Generator[Wait | Show, Any, Result]


class OutOfTime(Exception):
    """Thrown into a drive at a `Wait` whose own seconds are over, while the request's time is not up."""


class DeadlinePassed(BaseException):
    """Thrown into a drive at a `Wait` when the request's time is up; like a cancellation, no `except Exception`'s."""
