"""`ig-guardrail audit`: whether an audit log was changed, and whether its decisions come out again."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.commands.policy.formats import Format, FormatOption
from ig_guardrail.errors import RequestError

if TYPE_CHECKING:
    from ig_guardrail.audit.chain import Head

app = typer.Typer(help="Check audit logs, and make their decisions again.", no_args_is_help=True)

Files: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        help="Audit logs, by what `--audit` named: a file, before which others are found, or postgresql://..."
    ),
]


@app.callback()
def _audit() -> None:
    """Check audit logs, and make their decisions again."""


@app.command("verify")
def verify_command(
    files: Files,
    key_file: options.AuditKeyFile = None,
    head: Annotated[
        list[str] | None,
        typer.Option("--head", help="What the log must have passed: a hash, or a copy of FILE.head; may be repeated."),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", min=0, help="How many lines there must have been at least.")] = 0,
    form: FormatOption = Format.TEXT,
) -> None:
    """Follow the chain of a log, and name each line that was changed, put in, moved or taken out.

    Exit code 0: nothing was; 1: something was; 2: the log or its key cannot be read.
    """
    import json
    from dataclasses import asdict

    from ig_guardrail.audit.chain import find_key
    from ig_guardrail.audit.places import logs_of
    from ig_guardrail.audit.verify import verify
    from ig_guardrail.cli.writers import printable

    logs, key, heads = logs_of(files), find_key(key_file), [_head(one) for one in head or ()]
    if len(logs) > 1 and (heads or lines):
        raise RequestError(
            f"{len(logs)} logs are named",
            where="--head, --lines",
            why="a head is one log's",
            fix="verify one at a time",
        )
    found = [verify(log, key, heads, lines) for log in logs]
    if form is Format.JSON:
        print("\n".join(json.dumps({"ok": one.ok, **asdict(one)}) for one in found))
    else:
        print(printable("\n\n".join(one.as_text() for one in found), sys.stdout))
    raise typer.Exit(int(not all(one.ok for one in found)))


@app.command("prune")
def prune_command(
    place: Annotated[str, typer.Argument(help="What `--audit` named: a file, or postgresql://...")],
    older_than: options.OlderThan = None,
    keep_files: Annotated[
        int | None, typer.Option("--keep-files", min=1, help="How many files before the newest are kept.")
    ] = None,
    key_file: options.AuditKeyFile = None,
) -> None:
    """Delete old files of a log, or old lines of one in a database, behind a line that says which they were.

    So the rest can still be verified. Of files whole ones only, and never the newest. A program that writes the log may
    run meanwhile.
    """
    from ig_guardrail.audit.log import AuditLog
    from ig_guardrail.audit.places import log_at
    from ig_guardrail.database import is_address
    from ig_guardrail.settings import AuditFile

    days = options.read_days(older_than, keep_files, "--keep-files")
    log, what = log_at(place), "line" if is_address(place) else "file"
    opened = AuditFile(place if is_address(place) else log.name, key_file, keep_days=days, keep_files=keep_files)
    gone = AuditLog(opened).prune()
    print(f"{log.name}: {gone} {what}{'s' * (gone != 1)} deleted")


@app.command("export")
def export_command(
    place: Annotated[str, typer.Argument(help="What `--audit` named: postgresql://..., or a file.")],
    file: Annotated[Path, typer.Argument(help="The file that is written, and is not there yet.")],
) -> None:
    """Copy a log to a file, byte for byte, with its head and its policies.

    What reads audit logs reads the copy, such as `policy report`; `audit verify` tells whether it is whole.
    """
    from ig_guardrail.audit.copying import copy_log
    from ig_guardrail.audit.places import log_at

    count = copy_log(log_at(place), file)
    print(f"{file}: {count} line{'s' * (count != 1)}")


@app.command("replay")
def replay_command(
    files: Files,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", "-p", help="Under which policy; each line under its own, as it was kept, if left out."
        ),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Make each decision again from the scores in the log, through the same gate, and name those that differ.

    Exit code 0: all came out as they were written; 1: some did not, or none could be made; 2: an error.
    """
    from ig_guardrail.cli.writers import printable
    from ig_guardrail.workbench.traffic.audit_replay import replay_log

    found = replay_log(files, policy)
    print(found.as_json() if form is Format.JSON else printable(found.as_text(), sys.stdout))
    raise typer.Exit(int(found.fails))


def _head(told: str) -> Head:
    from ig_guardrail.audit.chain import Head
    from ig_guardrail.audit.files import read_head

    if re.fullmatch("[0-9a-f]{64}", told):
        return Head(0, told)
    if not Path(told).is_file():
        raise RequestError("it is neither a hash nor a file", where=f"--head {told}", fix="give a copy of FILE.head")
    return read_head(Path(told))
