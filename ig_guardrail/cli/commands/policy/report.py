"""`ig-guardrail policy report`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ig_guardrail.errors import RequestError


class PageFormat(StrEnum):
    """For people, for programs, and as a page."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


def report_command(
    traffic: Annotated[
        Path, typer.Argument(help="Recordings, an audit log or receipts; or a folder of *.jsonl files.")
    ],
    shadow: Annotated[
        bool, typer.Option("--shadow", help="What budgets in shadow mode would have denied, had they been enforced.")
    ] = False,
    canary: Annotated[bool, typer.Option("--canary", help="What the canary changes, beside the usual policy.")] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", "-p", help="With --shadow: the policy whose budgets are meant; as recorded if left out."
        ),
    ] = None,
    form: Annotated[
        PageFormat, typer.Option("--format", help="For people, for programs, or a page.")
    ] = PageFormat.TEXT,
) -> None:
    """Tell what a rollout did so far. No model is needed.

    Exit code 0; 1: there is nothing to tell; 2: an error.
    """
    from ig_guardrail.cli.writers import printable
    from ig_guardrail.policy import load_policy
    from ig_guardrail.policy.sources import folder_of
    from ig_guardrail.workbench.rollout import report as written
    from ig_guardrail.workbench.rollout.answers import read_answers
    from ig_guardrail.workbench.rollout.figures import canary_report, shadow_report
    from ig_guardrail.workbench.traffic.replay import PolicyReplay

    if shadow == canary or (policy is not None and canary):
        raise RequestError(
            "it is not said what to report",
            where="--shadow, --canary",
            fix="give one of both; `--policy` goes with --shadow",
        )
    under = None if policy is None else PolicyReplay(load_policy(policy), folder_of(policy))
    answers = read_answers(traffic, under)
    if shadow:
        shadowed = shadow_report(answers)
        writers = {"text": written.shadow_text, "json": written.shadow_json, "html": written.shadow_page}
        print(printable(writers[form](shadowed), sys.stdout))
        raise typer.Exit(int(not shadowed.rows))
    compared = canary_report(answers)
    canary_writers = {"text": written.canary_text, "json": written.canary_json, "html": written.canary_page}
    print(printable(canary_writers[form](compared), sys.stdout))
    raise typer.Exit(int(not compared.rows))
