"""A policy file that is edited while it is in force: later requests are held to it, those in flight keep theirs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ig_guardrail.drive.failures import as_guard_failure
from ig_guardrail.errors import GuardrailError
from ig_guardrail.fields.paths import expanded
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.check import files_behind
from ig_guardrail.threads.locks import ForkSafeLock
from ig_guardrail.types import CompiledPolicy

LOG = logging.getLogger(__name__)
EVERY = 0.1  # seconds between two looks at the file
SETTLED = 0.2  # seconds since it was last written, before which a writer may be amid his work


@dataclass(frozen=True, slots=True)
class FileState:
    """By what a file that was changed is known."""

    place: int
    size: int
    written: int  # nanoseconds of the epoch


class UnderPolicy(Protocol):
    """What was opened under a policy, and holds whoever uses it to that."""

    @property
    def policy(self) -> CompiledPolicy: ...


Opened = TypeVar("Opened", bound=UnderPolicy)


@dataclass(frozen=True, slots=True)
class Seen:
    """A policy's file and those that it extends, and the state of each; None where there is no file."""

    files: tuple[Path, ...]
    states: tuple[FileState | None, ...]

    @property
    def stands(self) -> bool:
        """Whether nothing has changed since: another parent would be another file of the child."""
        return _states(self.files) == self.states


class Reloading(Generic[Opened]):
    """What follows its policy's file, and the files of the policies that it extends.

    `current` looks at them, at most ten times a second. What was written again is read, started and tried as at
    start-up, on the thread of one caller, while others go on with the policy before. One that is refused leaves the
    last good one in force, is logged, and stands in `fault` until the file is repaired.
    """

    def __init__(
        self, path: Path, opened: Opened, seen: Seen, remake: Callable[[Opened, CompiledPolicy], Opened]
    ) -> None:
        """path: the policy's file. seen: the state of the files before `opened` was made of them.

        remake: opens another policy in place of the last one, and tries its messages
        """
        self.fault: str | None = None
        self._path, self._remake = path, remake
        self._opened, self._seen, self._before = opened, seen, seen.states
        self._next = 0.0
        self._lock = ForkSafeLock()

    def current(self) -> Opened:
        """What is for a request that begins now."""
        now = time.monotonic()
        if now >= self._next and self._lock.take(wait=False):
            try:
                self._next = now + EVERY
                self._look()
            finally:
                self._lock.give()
        return self._opened

    def _look(self) -> None:
        states = _states(self._seen.files)
        if states == self._seen.states:
            return
        waited, self._before = states == self._before, states
        if not (waited or all(map(_settled, states))):
            return
        found = Seen(self._seen.files, states)
        try:
            found = state_of(self._path)
            policy = load_policy(self._path)
            new = self._remake(self._opened, policy)
        except Exception as error:  # whatever it is, the request that looked has a policy to be answered under
            self._refuse(found, as_guard_failure(error))
            return
        if found.stands:  # else it was read amid a change
            self._opened, self._seen, self.fault = new, found, None
            LOG.warning("policy '%s' %s is in force (%s)", policy.name, policy.version, policy.sha256[:12])

    def _refuse(self, found: Seen, error: GuardrailError) -> None:
        if found.stands:
            self._seen, self.fault = found, str(error)
            kept = self._opened.policy
            LOG.error("policy '%s' %s stays in force: its file was changed, and %s", kept.name, kept.version, error)


def path_of(policy: str | Path | CompiledPolicy) -> Path:
    """The file of a policy. Raises GuardrailError for one that is no file, and so is never changed."""
    path = expanded(policy) if isinstance(policy, str | Path) else None
    if path is None or not path.is_file():
        raise GuardrailError(
            "a policy that is no file cannot be reloaded",
            where="reload",
            why="packaged and compiled policies do not change while a process runs",
            fix="name a policy file, or leave out `reload`",
        )
    return path


def state_of(path: Path) -> Seen:
    """The state of a policy's file now, and of those that it extends, as far as they can be followed."""
    files = (path, *map(Path, files_behind(path)))
    return Seen(files, _states(files))


def _states(files: tuple[Path, ...]) -> tuple[FileState | None, ...]:
    return tuple(map(_state, files))


def _state(path: Path) -> FileState | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return FileState(found.st_ino, found.st_size, found.st_mtime_ns)


def _settled(found: FileState | None) -> bool:
    """Whether nobody wrote to the file just now. One that is away may be about to be replaced."""
    return found is not None and found.written < time.time_ns() - SETTLED * 1e9
