"""Copies a log to a file, so that it can be handed on, kept elsewhere, and read by whatever reads files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ig_guardrail.audit.files import LogFiles
from ig_guardrail.audit.kept import KeptLog, LogReading, readable_lines
from ig_guardrail.errors import AuditError, RequestError, brief


def copy_log(log: KeptLog, path: Path) -> int:
    """Write a log as it stands to a file of its own, its head and its policies beside it; how many lines it has.

    Raises RequestError where there is such a file, or one of both cannot be used.
    """
    copy = LogFiles(path)
    if copy.all() or copy.head.exists():
        raise RequestError("there is such a file", where=str(path), fix="name one that is not there yet")
    try:
        with log.reading() as reading:
            count, policies = _written(reading, path)
            for sha256 in sorted(policies):
                text = log.policy(sha256)
                if text is not None:
                    copy.keep_policy(sha256, text)
            if reading.anchor is not None:
                copy.anchor(reading.anchor[1])
    except (OSError, AuditError) as error:
        raise RequestError("the log cannot be copied", where=log.name, why=brief(error)) from error
    return count


def _written(reading: LogReading, path: Path) -> tuple[int, set[str]]:
    """Write the lines as they stand; how many they are, and the policies that they name."""
    count, policies = 0, set[str]()
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "wb") as file:
        for raw in (one for _, lines in reading.parts for one in lines):
            file.write(raw.data + b"\n" * raw.ended)
            count += 1
            policies |= {sha256 for _, line in readable_lines([raw]) for sha256 in _policies(line.values)}
    return count, policies


def _policies(values: Any) -> Iterator[str]:
    """The hash of the policy that a line was written under."""
    try:
        sha256 = values["recording"]["policy"]["sha256"]
    except (KeyError, TypeError):
        return
    if isinstance(sha256, str) and sha256.isalnum():
        yield sha256
