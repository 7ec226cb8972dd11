"""A log as whoever reads it needs it, wherever its lines are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ig_guardrail.audit.chain import AuditLine, Head, read_line


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line as it stands. place: where; data: without its line break; ended: whether it was written to its end"""

    place: str
    data: bytes
    ended: bool = True


@dataclass(frozen=True, slots=True)
class LogReading:
    """A log at one moment.

    anchor  where the chain stands by what is kept beside the lines, and where that is; None if there is nothing
    parts   the names of its parts in order, and the lines of each, which are read as they are asked for
    """

    anchor: tuple[str, Head] | None
    parts: Iterable[tuple[str, Iterator[RawLine]]]


class KeptLog(Protocol):
    """A log that is read. What cannot be read raises AuditError or OSError."""

    @property
    def name(self) -> str:
        """Where it is kept, without secrets."""

    def reading(self) -> AbstractContextManager[LogReading]:
        """It, for as long as it is read."""

    def policy(self, sha256: str) -> str | None:
        """The normal form of a policy that was kept; None where it was not, or is not that policy any more."""


def readable_lines(lines: Iterable[RawLine]) -> Iterator[tuple[str, AuditLine]]:
    """The lines of a log, each with its place; what is none, such as a torn line, is passed over."""
    for raw in lines:
        try:
            line = read_line(raw.data)
        except ValueError:
            continue
        if raw.ended:
            yield raw.place, line
