"""Loading a policy for use, and checking files for their authors."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from pathlib import Path

from ig_guardrail.errors import PolicyError
from ig_guardrail.policy.compiler import ReadPolicy, compile_text, read_policy
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.diagnostics.report import FileReport, Report
from ig_guardrail.policy.sources import STDIN, PolicySource, expand, fetch, policies_among, read_stdin
from ig_guardrail.policy.waivers import beside, read_waivers, waive
from ig_guardrail.policy.yaml.decoding import readable
from ig_guardrail.types import CompiledPolicy


def load_policy(source: str | Path | CompiledPolicy) -> CompiledPolicy:
    """The policy at a path, or the packaged policy of that name; a compiled one as it is.

    Raises PolicyError, whose text is the report of every fault. Warnings do not stop a policy.
    """
    if isinstance(source, CompiledPolicy):
        return source
    return open_policy(source)[1]


def open_policy(source: str | Path) -> tuple[ReadPolicy, CompiledPolicy]:
    """The same policy with all that was read of it and of those that it extends. Raises PolicyError."""
    fetched = fetch(source)
    if isinstance(fetched, Diagnostic):
        raise PolicyError(FileReport(os.fspath(source), (fetched,)).as_text())
    found = read_policy(fetched.content, fetched.file, warn=False)
    if found.policy is None:
        report = FileReport(fetched.file, found.faults, source=found.text)
        raise PolicyError(f"the policy was refused\n\n{report.as_text()}")
    return found, found.policy


def files_behind(source: str | Path) -> tuple[str, ...]:
    """The files of the policies that a policy extends, as far as they can be followed, the nearest first."""
    fetched = fetch(source)
    return () if isinstance(fetched, Diagnostic) else read_policy(fetched.content, fetched.file, warn=False).files


def check_files(paths: Iterable[str | os.PathLike[str]], *, strict: bool = False, waivers: str | None = None) -> Report:
    """Check policies: paths, packaged names, `-` for standard input, folders with all policies below. Never raises.

    strict   whether warnings fail a file
    waivers  a file of waivers; those beside the policies if left out
    """
    reports: list[FileReport] = []
    for path in policies_among(paths):
        found = expand(path)
        if isinstance(found, Diagnostic):
            reports.append(FileReport(os.fspath(path), (found,)))
        else:
            reports += [_checked(one) for one in found]
    found_waivers = beside([one.path for one in reports if one.path != STDIN]) if waivers is None else [waivers]
    today = datetime.datetime.now(datetime.UTC).date()
    return Report(waive(reports, [*map(read_waivers, found_waivers)], today), strict)


def _checked(path: str | os.PathLike[str]) -> FileReport:
    source = read_stdin() if path == STDIN else fetch(path)
    return check_source(source) if isinstance(source, PolicySource) else FileReport(os.fspath(path), (source,))


def check_source(source: PolicySource) -> FileReport:
    """Check the text of a policy; waivers are left aside. Never raises."""
    policy, faults = compile_text(source.content, source.file, look=True)
    text = readable(source.content)
    if policy is None:
        return FileReport(source.file, faults, source=text)
    approved = tuple(message for message in policy.messages if message.approved is not None)
    return FileReport(source.file, faults, policy.name, policy.version, policy.sha256, text, approved=approved)
