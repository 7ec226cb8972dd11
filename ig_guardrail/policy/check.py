"""Loading a policy for use, and checking files for their authors."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ig_guardrail.errors import PolicyError
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.diagnostics.report import FileReport, Report
from ig_guardrail.policy.sources import PolicySource, expand, fetch
from ig_guardrail.policy.yaml.decoding import readable
from ig_guardrail.types import CompiledPolicy


def load_policy(source: str | Path | CompiledPolicy) -> CompiledPolicy:
    """The policy at a path, or the packaged policy of that name; a compiled one as it is.

    Raises PolicyError, whose text is the report of every fault. Warnings do not stop a policy.
    """
    if isinstance(source, CompiledPolicy):
        return source
    fetched = fetch(source)
    if isinstance(fetched, Diagnostic):
        raise PolicyError(FileReport(os.fspath(source), (fetched,)).as_text())
    policy, faults = compile_text(fetched.content, fetched.file)
    if policy is None:
        report = FileReport(fetched.file, faults, source=readable(fetched.content))
        raise PolicyError(f"the policy was refused\n\n{report.as_text()}")
    return policy


def check_files(paths: Iterable[str | os.PathLike[str]]) -> Report:
    """Check policies: paths, packaged names, and folders, which stand for all `*.yaml` in them. Never raises."""
    reports: list[FileReport] = []
    for path in paths:
        found = expand(path)
        if isinstance(found, Diagnostic):
            reports.append(FileReport(os.fspath(path), (found,)))
        else:
            reports += [_checked(one) for one in found]
    return Report(tuple(reports))


def _checked(path: str | os.PathLike[str]) -> FileReport:
    source = fetch(path)
    if not isinstance(source, PolicySource):
        return FileReport(os.fspath(path), (source,))
    policy, faults = compile_text(source.content, source.file)
    text = readable(source.content)
    if policy is None:
        return FileReport(source.file, faults, source=text)
    return FileReport(source.file, faults, policy.name, policy.version, policy.sha256, text)
