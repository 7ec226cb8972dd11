"""Tables of Markdown, and figures in their cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sections.results import Result


def table(columns: Sequence[str], lines: Iterable[Iterable[object]]) -> str:
    """Markdown whose first column is text."""
    rows = (columns, ("---", *("---:" for _ in columns[1:])), *lines)
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def figure(found: Result, form: str = ".1%") -> str:
    """A value with its interval."""
    low, high = found["interval"]
    return f"{found['value']:{form}} ({low:{form}} to {high:{form}})"
