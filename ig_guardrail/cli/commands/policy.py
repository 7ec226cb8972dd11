"""`ig-guardrail policy`: commands for the authors of policies. All but `check --deep` run without torch."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from ig_guardrail.cli import options

app = typer.Typer(help="Check and read safety policies.", no_args_is_help=True)


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"


@app.callback()
def _policy() -> None:
    """Check and read safety policies."""


@app.command("check")
def check_command(
    paths: Annotated[list[str], typer.Argument(help="Policy files, folders of them, or packaged names.")],
    form: Annotated[Format, typer.Option("--format", help="For people or for programs.")] = Format.TEXT,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also start each valid policy beside a model, as a guardrail does.")
    ] = False,
    model: options.ModelOption = "embedded",
) -> None:
    """Report every fault of every file. Exit code 0: all valid; 1: faults found; 2: a file could not be read.

    Without --deep neither torch nor a model is needed; what only a start shows, such as messages over budget, is noted.
    """
    from ig_guardrail.policy import check_files

    report = check_files(paths)
    if deep:
        from ig_guardrail.assembly import start_each

        report = start_each(report, model)
    print(report.as_json() if form is Format.JSON else report.as_text(color=sys.stdout.isatty()))
    raise typer.Exit(report.exit_code)


@app.command("show")
def show_command(name: Annotated[str, typer.Argument(help="A packaged name, or a file.")]) -> None:
    """Print a policy as it is written, comments and all: the start of a policy of your own."""
    from ig_guardrail.policy import load_policy
    from ig_guardrail.policy.sources import PolicySource, fetch

    load_policy(name)  # one that cannot be used, or is not there, is not worth copying: raises PolicyError
    found = fetch(name)
    if isinstance(found, PolicySource):
        sys.stdout.write(found.content.decode())
