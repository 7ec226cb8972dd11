"""`ig-guardrail policy fmt`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ig_guardrail.cli.commands.policy.formats import Format, FormatOption

if TYPE_CHECKING:
    from ig_guardrail.policy.sources import PolicySource

Paths = Annotated[
    list[str],
    typer.Argument(help="Policy files, folders of them, or - for standard input, which is written to output."),
]


def fmt_command(
    paths: Paths,
    check: Annotated[bool, typer.Option("--check", help="Write nothing, and show what would change.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Lay policies out alike, with every comment. What they mean, and their hash, stays.

    Exit code 0: done, or with --check nothing to do; 1: --check found files to lay out; 2: one was left as it is.
    """
    from ig_guardrail.errors import GuardrailError
    from ig_guardrail.policy.sources import IN_STDIN
    from ig_guardrail.workbench.formatting import formatted, put

    left, told = False, []
    for source in sources_at(paths, writing=not check):
        try:
            found = formatted(source)
            if found.changed and not check and source.file != IN_STDIN:
                put(source.file, found.after)
        except GuardrailError as error:
            left = True
            print(f"error: {error}", file=sys.stderr)
            continue
        told.append({"file": source.file, "changed": found.changed, "difference": found.difference()})
        if form is Format.JSON:
            continue
        if check:
            sys.stdout.write(found.difference())
        elif source.file == IN_STDIN:
            sys.stdout.write(found.after)
        elif found.changed:
            print(f"laid out {source.file}")
    if form is Format.JSON:
        print(json.dumps({"files": told}, ensure_ascii=False))
    raise typer.Exit(2 if left else int(check and any(one["changed"] for one in told)))


def sources_at(paths: Sequence[str], *, writing: bool) -> Iterator[PolicySource]:
    """The policies at paths. Raises PolicyError for one that cannot be read, RequestError for one not to write to."""
    from ig_guardrail.errors import PolicyError, RequestError
    from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
    from ig_guardrail.policy.diagnostics.report import FileReport
    from ig_guardrail.policy.sources import STDIN, expand, fetch, packaged_names, policies_among, read_stdin

    for path in map(str, policies_among(paths)):
        if path == STDIN:
            yield read_stdin()
            continue
        if writing and path in packaged_names():
            raise RequestError(
                f"'{path}' comes with the package",
                where=path,
                why="it is not written to",
                fix=f"copy it: `ig-guardrail policy show {path} > mine.yaml`",
            )
        files = expand(path)
        found = [files] if isinstance(files, Diagnostic) else [fetch(one) for one in files]
        for one in found:
            if isinstance(one, Diagnostic):
                raise PolicyError(FileReport(path, (one,)).as_text())
        yield from (one for one in found if not isinstance(one, Diagnostic))
