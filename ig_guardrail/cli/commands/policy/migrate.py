"""`ig-guardrail policy migrate`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ig_guardrail.cli.commands.policy.fmt import Paths, sources_at


def migrate_command(
    paths: Paths,
    check: Annotated[bool, typer.Option("--check", help="Write nothing, and tell what would change.")] = False,
) -> None:
    """Bring spellings from before 0.1.0 to those of today. Comments and layout stay.

    Exit code 0: done, or nothing to change; 1: --check found something to change.
    """
    from ig_guardrail.policy.sources import IN_STDIN
    from ig_guardrail.workbench.formatting import put
    from ig_guardrail.workbench.migrating import migrated

    changed = False
    for source in sources_at(paths, writing=not check):
        text, renamed = migrated(source)
        changed |= bool(renamed)
        told = [one.as_text(source.file) for one in renamed] or [f"{source.file}: nothing to change"]
        print("\n".join(told), file=sys.stderr if source.file == IN_STDIN else sys.stdout)
        if source.file == IN_STDIN and not check:
            sys.stdout.write(text)
        elif renamed and not check:
            put(source.file, text)
    raise typer.Exit(int(check and changed))
