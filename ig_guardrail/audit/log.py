"""Writes an audit log: one line at a time, by whichever thread, process or host comes next.

There is one chain, wherever it is kept, however many write: one order, one row of numbers, and one head whose copy
elsewhere is the witness of all lines before it. Writers need not know of each other, since each finds where the chain
stands where it is kept, and holds it while its line is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from ig_guardrail.audit.chain import AuditKey, Head, find_key
from ig_guardrail.audit.file_chain import FileChain
from ig_guardrail.database import is_address
from ig_guardrail.settings import AuditFile


class Chain(Protocol):
    """Where lines are kept. What is raised is AuditError, and then nothing of a line is written.

    place  as errors name it
    """

    @property
    def place(self) -> str: ...

    def check(self) -> None:
        """Raises where no line can be written now."""

    def append(self, entry: Mapping[str, Any], now: datetime) -> Head:
        """Write a line, which is safe then; where the chain stands behind it. What is kept no longer is deleted."""

    def prune(self, now: datetime) -> int:
        """Delete what is kept no longer, files or lines; how many they were. A line says so."""

    def keep_policy(self, sha256: str, normal_form: str) -> None:
        """Keep a policy by its hash."""


class AuditLog:
    """A log that is appended to. Safe to share between threads; several may write to one, in other processes too.

    clock: tells the time, with its zone
    """

    def __init__(self, file: AuditFile, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Raises AuditError where the log cannot be written, RequestError for a key that cannot be used."""
        self.file, self.key, self._clock = file, find_key(file.key_file), clock
        self._chain = _chain(file, self.key)
        self._kept: set[str] = set()
        self.check()

    @property
    def place(self) -> str:
        """Where it is kept, without secrets."""
        return self._chain.place

    def check(self) -> None:
        """Raises AuditError where no line can be written now."""
        self._chain.check()

    def append(self, entry: Mapping[str, Any]) -> Head:
        """Write a line; where the chain stands then. Raises AuditError, and then nothing of it is written."""
        return self._chain.append(entry, self._clock())

    def prune(self) -> int:
        """Delete what is not kept any longer, old files or lines; how many they were. Raises AuditError."""
        return self._chain.prune(self._clock())

    def keep_policy(self, sha256: str, normal_form: str) -> None:
        """Keep a policy by its hash, once. Raises AuditError."""
        if sha256 not in self._kept:
            self._chain.keep_policy(sha256, normal_form)
            self._kept.add(sha256)

    def name(self, what: str) -> str:
        """What a text is called in the log: under a key nobody else can guess it."""
        if self.key is not None:
            return self.key.name(what)
        return hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()


def _chain(file: AuditFile, key: AuditKey | None) -> Chain:
    if not is_address(file.path):
        return FileChain(file, key)
    from ig_guardrail.audit.postgres import DatabaseChain

    return DatabaseChain(file, key)
