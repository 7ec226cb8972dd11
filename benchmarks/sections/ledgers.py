"""Ledgers under the charges of many processes."""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.evaluate import tables
from sections.cells import table
from sections.origin import loaded
from sections.results import read_result


def charges(results: Path) -> str:
    """Ledgers under the charges of many processes: a line for each, and for each way in which accounts are shared."""
    result = read_result(results, "ledger")
    lines: dict[tuple[str, str], list[str]] = {}
    for row in result["figures"]:
        lines.setdefault((row["part"], row["title"].partition(":")[0]), []).append(tables.number(row["value"]))
    (aim,) = (row for row in result["figures"] if row["bound"] is not None)
    told = (
        f"Measured {result['measured']} on {result['machine']} ({result['processes']} processes, two budgets a charge)."
        f" {loaded(row['load'] for row in result['figures'])} The disk took {result['sync']} ms to make a write last."
        " The aim of"
        f" {aim['bound'].removeprefix('>= ')} charges a second in PostgreSQL, accounts apart, was"
        f" {'met' if aim['ok'] else 'missed'}."
    )
    columns = ("ledger, accounts", "charges a second", "p50, ms", "p99, ms", "time of processors for one, ms")
    return f"{told}\n\n{table(columns, [(', '.join(name), *cells) for name, cells in lines.items()])}"
