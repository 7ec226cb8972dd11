"""Logs by the names that `audit` was given: files, and addresses of databases."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ig_guardrail.audit.files import files_of
from ig_guardrail.audit.kept import KeptLog
from ig_guardrail.database import is_address


def logs_of(places: Iterable[str | Path]) -> list[KeptLog]:
    """The logs that places belong to, once each. Raises RequestError where there is none, AuditError, MissingExtra."""
    found: dict[str, KeptLog] = {}
    for place in places:
        log = log_at(place)
        found.setdefault(log.name, log)
    return list(found.values())


def log_at(place: str | Path) -> KeptLog:
    """The log at a place. Raises as `logs_of` does."""
    if not is_address(place):
        return files_of(Path(place))
    from ig_guardrail.audit.postgres import DatabaseLog

    return DatabaseLog(str(place))
