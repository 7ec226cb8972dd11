"""Faults as people read them: the line, carets under the place, why it matters and what to write."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, masked

_WIDEST = 110  # columns of a source excerpt
_BEFORE = 70  # columns shown before a place that lies further right
_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "place": "\x1b[34m", "bold": "\x1b[1m", "plain": "\x1b[0m"}


def render(fault: Diagnostic, source: Sequence[str]) -> str:
    """A fault with the source line it stands on. `source`: the lines of the file that was checked."""
    at = f":{fault.line}:{fault.column}" if fault.line else ""
    gutter = " " * len(str(fault.line))
    rows = [f"{fault.severity}[{fault.code}]: {fault.message}", f"{gutter}--> {printable(fault.file)}{at}"]
    line = fault.excerpt or (source[fault.line - 1] if 0 < fault.line <= len(source) else None)
    if line is not None:
        shown, carets = _excerpt(line, fault)
        rows += [f"{gutter} |", f"{fault.line} | {shown}".rstrip(), f"{gutter} | {carets}".rstrip()]
    elif fault.label:
        rows.append(f"{gutter} = {fault.label}")
    rows.append(f"{gutter} = path: {fault.path}")
    rows += [f"{gutter} = why: {fault.why}"] if fault.why else []
    rows += [f"{gutter} = help: {fault.help}"] if fault.help else []
    return "\n".join(rows)


def coloured(report: str) -> str:
    """A rendered report with terminal colours on its headlines and places."""
    return "\n".join(_colour(row) for row in report.split("\n"))


def printable(text: str) -> str:
    """Text that a terminal shows as it is: control characters and lone surrogates become a dot."""
    return "".join(char if char.isprintable() else " " if char == "\t" else "\N{MIDDLE DOT}" for char in text)


def printable_lines(text: str) -> str:
    """The same of several lines, which stay lines; XML can hold it too."""
    return "\n".join(map(printable, text.split("\n")))


def _excerpt(line: str, fault: Diagnostic) -> tuple[str, str]:
    """The part of a line around a fault, and the carets under it."""
    start = fault.column - 1
    cut = max(0, start - _BEFORE) if len(line) > _WIDEST else 0
    shown = printable(masked(line)[cut : cut + _WIDEST])
    before = shown[: start - cut]
    marked = shown[start - cut : start - cut + fault.length]
    carets = "^" * max(1, _width(marked))
    return shown, f"{' ' * (_width(before) + max(0, start - cut - len(before)))}{carets} {fault.label}"


def _width(text: str) -> int:
    """Terminal columns of a text."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _colour(row: str) -> str:
    for severity in ("error", "warning"):
        if row.startswith(f"{severity}["):
            head, _, message = row.partition(": ")
            return f"{_COLOURS[severity]}{head}{_COLOURS['plain']}: {_COLOURS['bold']}{message}{_COLOURS['plain']}"
    if row.lstrip().startswith("--> "):
        return f"{_COLOURS['place']}{row}{_COLOURS['plain']}"
    return row
