"""`ig-guardrail doctor`: what is there, what is missing, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ig_guardrail.cli import options
from ig_guardrail.cli.checkup import CheckState, Finding, check_model, check_up

COLOURS: Mapping[CheckState, str] = {"ok": "green", "note": "yellow", "missing": "red"}


def doctor_command(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Also tell what this model's files say of it; its weights are not loaded."),
    ] = None,
    revision: options.Revision = None,
    context: options.ContextOption = None,
) -> None:
    """Look over this installation, and a model's files. Exit code 0 if the default guardrail can run, else 2."""
    findings = check_up()
    console = Console(highlight=False)
    console.print(_table(findings))
    if model is not None:
        told = check_model(model, revision, context)
        console.print(f"\nmodel {model}", markup=False)
        console.print(_table(told))
        _demand(console, told, "The model cannot be used yet")
    _demand(console, findings, "The default guardrail cannot run yet")
    console.print("\nThe default guardrail can run. Try `ig-guardrail run --prompt 'Hello!'`.", style="green")


def _demand(console: Console, findings: Sequence[Finding], otherwise: str) -> None:
    missing = [finding for finding in findings if finding.state == "missing"]
    if missing:
        console.print(f"\n{otherwise}: {len(missing)} to fix.", style="red")
        raise typer.Exit(2)


def _table(findings: Sequence[Finding]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for finding in findings:
        advice = f"\n-> {finding.fix}" if finding.fix else ""
        grid.add_row(Text(finding.state, COLOURS[finding.state]), finding.part, Text(finding.detail + advice))
    return grid
