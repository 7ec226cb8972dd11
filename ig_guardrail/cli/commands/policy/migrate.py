"""`ig-guardrail policy migrate`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from ig_guardrail.cli.commands.policy.fmt import Paths, sources_at
from ig_guardrail.cli.commands.policy.formats import Format, FormatOption


def migrate_command(
    paths: Paths,
    check: Annotated[bool, typer.Option("--check", help="Write nothing, and tell what would change.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Bring spellings from before 0.1.0 to those of today. Comments and layout stay.

    Exit code 0: done, or nothing to change; 1: --check found something to change; 2: a file cannot be read.
    """
    from ig_guardrail.policy.sources import IN_STDIN
    from ig_guardrail.workbench.formatting import put
    from ig_guardrail.workbench.migrating import migrated

    told = []
    for source in sources_at(paths, writing=not check):
        text, renamed = migrated(source)
        told.append({"file": source.file, "renamed": [one.as_dict() for one in renamed]})
        lines = [one.as_text(source.file) for one in renamed] or [f"{source.file}: nothing to change"]
        if form is Format.TEXT:
            print("\n".join(lines), file=sys.stderr if source.file == IN_STDIN else sys.stdout)
        if source.file == IN_STDIN and form is Format.TEXT and not check:
            sys.stdout.write(text)
        elif source.file != IN_STDIN and renamed and not check:
            put(source.file, text)
    if form is Format.JSON:
        print(json.dumps({"files": told}, ensure_ascii=False))
    raise typer.Exit(int(check and any(one["renamed"] for one in told)))
