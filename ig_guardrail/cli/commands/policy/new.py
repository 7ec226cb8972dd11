"""`ig-guardrail policy new`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ig_guardrail.cli.commands.policy.formats import Format, FormatOption


class Start(StrEnum):
    """The packaged policies that one may start from."""

    DEFAULT = "default"
    STRICT = "strict"
    OBSERVE = "observe"
    EDUCATION = "education"
    HEALTH = "health"
    SUPPORT = "support"


def new_command(
    name: Annotated[Path, typer.Argument(help="The folder to write; its name becomes the policy's.")],
    source: Annotated[Start, typer.Option("--from", help="The packaged policy to start from.")] = Start.DEFAULT,
    extend: Annotated[
        bool,
        typer.Option("--extend", help="Write a policy that extends it and is only told what is stricter, no copy."),
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Write a folder with a policy of your own and its cases, then check the one and run the others."""
    from ig_guardrail.policy import check_files
    from ig_guardrail.workbench.cases.report import report_on
    from ig_guardrail.workbench.cases.suite import run_files
    from ig_guardrail.workbench.scaffold import write_policy

    files = write_policy(name, source.value, extend=extend)
    checked = check_files([str(files[0])])
    tested = report_on(run_files([str(files[1])]), None, cover=False)
    if form is Format.JSON:
        reports = {"check": json.loads(checked.as_json()), "test": json.loads(tested.as_json())}
        print(json.dumps({"wrote": [str(file) for file in files], **reports}, ensure_ascii=False))
    else:
        print("\n".join(f"wrote {file}" for file in files))
        print(f"{checked.files[0].as_text()}\n{tested.as_text()}")
    raise typer.Exit(max(checked.exit_code, tested.exit_code))
