"""`ig-guardrail strategies`: the methods that can search, where they come from, and what they need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer


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
    from rich.console import Console
    from rich.table import Column, Table

    name, what = Column("name", no_wrap=True), Column("what it does", min_width=11)  # names are to be typed: never cut
    table = Table(name, what, "source", "needs (uses)", "streams", "policies", box=None, pad_edge=False)
    for row in rows:
        uses = f"({', '.join(row['uses'])})" if row["uses"] else ""
        needs = " ".join(filter(None, [", ".join(row["needs"]), uses]))
        table.add_row(
            row["name"],
            row["what"],
            row["source"],
            needs,
            *("yes" if one else "no" for one in (row["streams"], not row["baseline"])),
        )
    Console(highlight=False).print(table)
