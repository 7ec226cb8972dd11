"""Locks that a forked process has to itself, and whether this process is one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any


class ForkSafeLock:
    """A lock, as a context manager. What a thread of the parent holds while a process forks, nobody holds in the child.

    make: `threading.RLock`, where a thread may enter it again
    """

    def __init__(self, make: Callable[[], Any] = threading.Lock) -> None:
        self._make = make
        self._lock = make()
        _TURNS.add(self)

    def __enter__(self) -> None:
        self.take()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give()

    def take(self, wait: bool = True) -> bool:
        """Hold the lock: wait for it, or say False where another thread holds it."""
        return bool(self._lock.acquire(blocking=wait))

    def give(self) -> None:
        """Let the lock go."""
        self._lock.release()

    def renew(self) -> None:
        """Be free; for a process that was just forked and has one thread."""
        self._lock = self._make()


class Home:
    """The process in which something was made."""

    def __init__(self) -> None:
        self._process = os.getpid()

    @property
    def left(self) -> bool:
        """Whether this is another process, forked from that one."""
        return os.getpid() != self._process


_TURNS: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()  # process-wide, as a fork is


def _renew() -> None:
    for turn in list(_TURNS):
        turn.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
