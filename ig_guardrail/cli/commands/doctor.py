"""`ig-guardrail doctor`: what is there, what is missing, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ig_guardrail.cli.checkup import CheckState, Finding, check_up

COLOURS: Mapping[CheckState, str] = {"ok": "green", "note": "yellow", "missing": "red"}


def doctor_command() -> None:
    """Look over this installation. Exit code 0 if the default guardrail can run, else 2."""
    findings = check_up()
    console = Console(highlight=False)
    console.print(_table(findings))
    missing = [finding for finding in findings if finding.state == "missing"]
    if missing:
        console.print(f"\nThe default guardrail cannot run yet: {len(missing)} to mend.", style="red")
        raise typer.Exit(2)
    console.print("\nThe default guardrail can run. Try `ig-guardrail run --prompt 'Hello!'`.", style="green")


def _table(findings: Sequence[Finding]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for finding in findings:
        advice = f"\n-> {finding.fix}" if finding.fix else ""
        grid.add_row(Text(finding.state, COLOURS[finding.state]), finding.part, Text(finding.detail + advice))
    return grid
