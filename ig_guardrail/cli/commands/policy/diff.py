"""`ig-guardrail policy diff`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ig_guardrail.cli.commands.policy.formats import Format


def diff_command(
    a: Annotated[str, typer.Argument(help="A policy file, or a packaged name.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    form: Annotated[Format, typer.Option("--format", help="For people or for programs.")] = Format.TEXT,
) -> None:
    """Say in what B differs from A by meaning, with examples that were run. No model is needed.

    Exit code 0: proved to mean the same; 1: different, or not decided; 2: one of them cannot be used.
    """
    from ig_guardrail.policy import load_policy
    from ig_guardrail.workbench.meaning.differences import differences
    from ig_guardrail.workbench.meaning.wording import as_dict, as_text

    first, second = load_policy(a), load_policy(b)
    found = differences(first, second)
    if form is Format.JSON:
        print(json.dumps(as_dict(first, second, found), indent=2, ensure_ascii=False, default=str))
    else:
        print(as_text(first, second, found, (a, b)))
    raise typer.Exit(0 if found.same else 1)
