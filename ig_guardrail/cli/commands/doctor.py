"""`ig-guardrail doctor`: what is there, what is missing, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ig_guardrail.cli import options
from ig_guardrail.cli.checkup import CheckState, Finding, check_model, check_server, check_up
from ig_guardrail.cli.request import read_engine_options

COLOURS: Mapping[CheckState, str] = {"ok": "green", "note": "yellow", "missing": "red"}


def doctor_command(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Also tell what this model's files say of it; its weights are not loaded."),
    ] = None,
    revision: options.Revision = None,
    context: options.ContextOption = None,
    engine_url: Annotated[
        str | None,
        typer.Option("--engine-url", help="Try what a model server can do; --model is then the name it serves."),
    ] = None,
    engine_option: options.EngineOptionsOption = None,
) -> None:
    """Look over this installation, a model's files, or a model server. Exit code 0 if it can be used, else 2."""
    if engine_url is not None:
        _tell_server(engine_url, model, read_engine_options(engine_option))
        return
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


def _tell_server(url: str, model: str | None, engine_options: Mapping[str, str]) -> None:
    console = Console(highlight=False)
    told = check_server(url, model, engine_options)
    console.print(_table(told))
    _demand(console, told, "The server cannot be used yet")
    console.print("\nThe server can be used: `--engine openai_compatible`.", style="green")


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
