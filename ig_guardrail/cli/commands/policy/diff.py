"""`ig-guardrail policy diff`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ig_guardrail.cli.commands.policy.formats import Format, FormatOption

if TYPE_CHECKING:
    from ig_guardrail.workbench.traffic.replay import ReplayReport


class FailOn(StrEnum):
    """What ends with exit code 1."""

    DIFFERENT = "different"
    LOOSER = "looser"


def diff_command(
    a: Annotated[str, typer.Argument(help="A policy file, or a packaged name.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    form: FormatOption = Format.TEXT,
    on: Annotated[
        Path | None,
        typer.Option("--on", help="Also tell which recorded decisions flip: a file of recordings, or a folder."),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit with 1 where B is different, or only where it is looser.")
    ] = FailOn.DIFFERENT,
) -> None:
    """Say in what B differs from A by meaning, with examples that were run. No model is needed.

    Exit code 0: proved to mean the same; 1: different, or not decided; 2: one of them cannot be used. With
    `--fail-on looser` 0: proved to be as strict as A in every part; 1: looser in one, or not decided.
    """
    from ig_guardrail.policy import load_policy
    from ig_guardrail.workbench.meaning.differences import differences
    from ig_guardrail.workbench.meaning.wording import as_dict, as_text
    from ig_guardrail.workbench.traffic.replay_report import as_json
    from ig_guardrail.workbench.traffic.replay_report import as_text as replay_text

    first, second = load_policy(a), load_policy(b)
    found = differences(first, second)
    flips = None if on is None else _replayed(a, b, on)
    if form is Format.JSON:
        told = as_dict(first, second, found) | ({} if flips is None else {"on": json.loads(as_json(flips))})
        print(json.dumps(told, indent=2, ensure_ascii=False, default=str))
    else:
        print(as_text(first, second, found, (a, b)))
        print("" if flips is None else f"\non {on}\n{replay_text(flips)}\n", end="")
    if fail_on is FailOn.LOOSER:
        if found.loosened and form is Format.TEXT:
            print(f"B is looser, or not proved to be as strict, in: {', '.join(found.loosened)}")
        raise typer.Exit(1 if found.loosened else 0)
    raise typer.Exit(0 if found.same else 1)


def _replayed(a: str, b: str, on: Path) -> ReplayReport:
    """Both policies on recordings."""
    from ig_guardrail.policy import load_policy
    from ig_guardrail.policy.sources import folder_of
    from ig_guardrail.workbench.traffic.recordings import read_recordings
    from ig_guardrail.workbench.traffic.replay import PolicyReplay, replay

    old, new = (PolicyReplay(load_policy(one), folder_of(one)) for one in (a, b))
    return replay(new, read_recordings(on), old)
