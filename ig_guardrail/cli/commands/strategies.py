"""`ig-guardrail strategies`: the methods that can search, where they come from, and what they need."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Annotated, Any

import typer

WIDTH = 120  # columns that the table takes


def strategies_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, one for each method.")] = False,
) -> None:
    """List the search strategies. `--strategy` takes any, policies all but baselines; all go through one gate."""
    from ig_guardrail.search.registry import METHODS

    rows = [
        {
            "name": method.name,
            "what": method.title,
            "source": method.paper,
            "needs": [need.name for need in method.needs],
            "uses": [need.name for need in method.uses],
            "streams": method.streams,
            "baseline": method.baseline,
        }
        for method in METHODS.values()
    ]
    if as_json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    else:
        _print_table(rows)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table; where it has no room, each as a name and a few lines."""
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(highlight=False)
    if console.width < WIDTH:
        for row in rows:
            print(_described(row, console.width))
        return
    name, what = Column("name", no_wrap=True), Column("what it does", min_width=11)  # names are to be typed: never cut
    table = Table(name, what, "source", "needs (uses)", "streams", "policies", box=None, pad_edge=False)
    for row in rows:
        flags = ("yes" if one else "no" for one in (row["streams"], not row["baseline"]))
        table.add_row(row["name"], row["what"], row["source"], _needs(row), *flags)
    console.print(table)


def _described(row: dict[str, Any], width: int) -> str:
    needs = _needs(row)
    facts = [
        row["source"],
        f"needs {needs}" if needs else "",
        "streams" if row["streams"] else "does not stream",
        "not in policies" if row["baseline"] else "",
    ]
    lines = (row["what"], "; ".join(filter(None, facts)))
    wrapped = [
        one
        for line in lines
        for one in textwrap.wrap(
            line,
            max(width, 24),
            initial_indent="    ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
    return "\n".join((row["name"], *wrapped))


def _needs(row: dict[str, Any]) -> str:
    uses = f"({', '.join(row['uses'])})" if row["uses"] else ""
    return " ".join(filter(None, [", ".join(row["needs"]), uses]))
