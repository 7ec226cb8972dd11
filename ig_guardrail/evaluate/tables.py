"""Results as JSON, as Markdown and on the terminal: one shape of row, one way to write a number.

A row: part, name, title, value, interval ([low, high], null for a count), n, bound, ok.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.table import Table

from ig_guardrail.engine.loading.store import put_in_place

Row: TypeAlias = Mapping[str, Any]


def row(
    part: str,
    name: str,
    title: str,
    value: float | int | None,
    interval: Sequence[float | None] | None,
    n: int,
    bound: str | None = None,
    ok: bool | None = None,
) -> Row:
    """One figure; without a bound nothing is kept or missed."""
    found = {"part": part, "name": name, "title": title, "value": value, "interval": interval}
    return {**found, "n": n, "bound": bound, "ok": ok}


def number(value: float | int | None) -> str:
    """Counts as they are, other figures with two decimals; a dash for what could not be measured."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def span(row: Row) -> str:
    """The ends of a row's interval; nothing for a count or an unknown. An open end is unbounded."""
    if row["interval"] is None or row["interval"][0] is None:
        return ""
    low, high = row["interval"]
    return f"{number(low)} to {number(high)}" if high is not None else f"from {number(low)}"


def verdict(row: Row) -> str:
    return {True: "ok", False: "MISSED", None: ""}[row["ok"]]


def cells(row: Row) -> str:
    """A row's numbers as Markdown cells."""
    return f"{number(row['value'])} | {span(row)} | {row['n']} | {row['bound'] or ''} | {verdict(row)}"


def markdown(rows: Sequence[Row]) -> str:
    """One table for each part, in order."""
    blocks = []
    for part in dict.fromkeys(row["part"] for row in rows):
        lines = [f"| {part} | value | interval | n | bound | |", "|---|---:|---:|---:|---:|---|"]
        for row in rows:
            if row["part"] == part:
                lines.append(f"| {row['title']} | {cells(row)} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def terminal(title: str, rows: Sequence[Row]) -> Table:
    """All rows in one table; a missed bound is red and says MISSED."""
    table = Table(title=title, title_justify="left")
    for heading in ("", "value", "interval", "n", "bound", ""):
        table.add_column(heading, justify="right" if heading else "left")
    part = None
    for row in rows:
        if row["part"] != part:
            part = row["part"]
            table.add_section()
            table.add_row(f"[bold]{part}[/bold]")
        colour = {True: "green", False: "bold red", None: ""}[row["ok"]]
        cells = (number(row["value"]), span(row), str(row["n"]), row["bound"] or "", verdict(row))
        table.add_row("  " + row["title"], *cells, style=colour)
    return table


def verdicts(rows: Sequence[Row]) -> str:
    """Which bounds were missed, in one line."""
    missed = [row["title"] for row in rows if row["ok"] is False]
    return f"MISSED: {'; '.join(missed)}" if missed else "All bounds are kept."


def plain(value: float) -> float | int | None:
    """A number that JSON can hold: rounded to six decimals, None for NaN and infinity."""
    if isinstance(value, int):
        return value
    return round(value, 6) if math.isfinite(value) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write in one step, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with put_in_place(path) as beside:
        beside.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
