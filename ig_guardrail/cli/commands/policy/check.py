"""`ig-guardrail policy check`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from ig_guardrail.cli import options


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"


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
