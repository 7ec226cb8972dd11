"""`ig-guardrail strategies`: the methods that can search, where they come from, and what they need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer


def strategies_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, one for each method.")] = False,
) -> None:
    """List the search strategies. Any of them may be named to `--strategy`; all go through the same gate."""
    from ig_guardrail.search.registry import METHODS

    rows = [
        {
            "name": method.name,
            "what": method.title,
            "source": method.paper,
            "needs": list(method.needs),
            "uses": list(method.uses),
            "streams": method.streams,
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
    from rich.table import Table

    table = Table("name", "what it does", "source", "needs (uses)", "streams", box=None, pad_edge=False)
    for row in rows:
        uses = f"({', '.join(row['uses'])})" if row["uses"] else ""
        needs = " ".join(filter(None, [", ".join(row["needs"]), uses]))
        table.add_row(row["name"], row["what"], row["source"], needs, "yes" if row["streams"] else "no")
    Console(highlight=False).print(table)
