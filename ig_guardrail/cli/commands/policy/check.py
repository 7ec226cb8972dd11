"""`ig-guardrail policy check`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.commands.policy.formats import ReportFormat

if TYPE_CHECKING:
    from ig_guardrail.policy import Report


def check_command(
    paths: Annotated[
        list[str], typer.Argument(help="Policy files, folders of them, packaged names, or - for standard input.")
    ],
    form: Annotated[ReportFormat, typer.Option("--format", help="For people or for programs.")] = ReportFormat.TEXT,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also start each valid policy beside a model, as a guardrail does.")
    ] = False,
    model: options.ModelOption = "embedded",
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail a file too.")] = False,
    waivers: Annotated[
        str | None,
        typer.Option(help="Warnings that somebody answers for; waivers.yaml beside the policies if left out."),
    ] = None,
) -> None:
    """Report every fault of every file. Exit code 0: all valid; 1: faults found; 2: a file could not be read.

    Without --deep neither torch nor a model is needed: messages are tried against words and patterns alone.
    """
    from ig_guardrail.errors import RequestError
    from ig_guardrail.policy import check_files
    from ig_guardrail.policy.sources import STDIN

    if deep and STDIN in paths:
        raise RequestError(
            "standard input cannot be started beside a model",
            where="--deep",
            why="a start reads the policy's file again",
            fix="save the policy to a file, and check that",
        )
    from ig_guardrail.workbench.starting import start_each, try_words

    report = check_files(paths, strict=strict, waivers=waivers)
    report = start_each(report, model) if deep else try_words(report)
    print(_written(report, form))
    raise typer.Exit(report.exit_code)


def _written(report: Report, form: ReportFormat) -> str:
    from ig_guardrail.policy.diagnostics.exports import junit, sarif

    match form:
        case ReportFormat.JSON:
            return report.as_json()
        case ReportFormat.SARIF:
            return sarif(report)
        case ReportFormat.JUNIT:
            return junit(report)
    return report.as_text(color=sys.stdout.isatty())
