"""`ig-guardrail policy test`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.commands.policy.formats import ReportFormat


def run_cases_command(
    paths: Annotated[
        list[str], typer.Argument(help="Files *_test.yaml, policies that have one beside them, or folders of them.")
    ],
    form: Annotated[ReportFormat, typer.Option("--format", help="For people or for programs.")] = ReportFormat.TEXT,
    coverage: Annotated[bool, typer.Option("--coverage", help="Also tell what of a policy no case tries.")] = False,
    require: Annotated[
        float | None,
        typer.Option("--require", min=0, max=100, help="Fail where cases try less than so many percent of a policy."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="First run the cost models beside a model, and write what they score.")
    ] = False,
    model: options.ModelOption = "embedded",
) -> None:
    """Run the cases of policies through gate and budgets, without a model.

    Exit code 0: all pass; 1: one does not; 2: a file cannot be used, or there is none.

    Only --record loads a model: it writes scores into *_test.scores.jsonl beside the cases.
    """
    from ig_guardrail.workbench.cases.reading import find_cases
    from ig_guardrail.workbench.cases.report import report_on
    from ig_guardrail.workbench.cases.suite import run_files

    files = find_cases(paths)
    if record:
        from ig_guardrail.workbench.cases.recorder import record_files

        for path in record_files(files, model):
            print(f"recorded {path}", file=sys.stderr)
    report = report_on(run_files(files), require, coverage)
    written = {
        ReportFormat.TEXT: report.as_text,
        ReportFormat.JSON: report.as_json,
        ReportFormat.SARIF: report.as_sarif,
        ReportFormat.JUNIT: report.as_junit,
    }
    print(written[form]())
    raise typer.Exit(report.exit_code)
