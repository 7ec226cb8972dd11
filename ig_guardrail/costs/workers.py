"""Cost models run beside the caller, one daemon thread each, so that a slow one can be timed out.

A model that hangs keeps its own thread and nobody else's: the next call gets a fresh one.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

_Job: TypeAlias = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Worker:
    """One thread that runs calls in order, can be abandoned, and ends with the worker."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] | None = None
        self._turn = threading.Lock()  # callers are of several threads

    def call(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `function(*args)` on the thread; its result or error arrives in the future."""
        future: Future[Any] = Future()
        with self._turn:
            if self._jobs is None:
                self._jobs = queue.SimpleQueue()
                weakref.finalize(self, self._jobs.put, None)
                threading.Thread(target=_serve, args=(self._jobs,), name=f"ig-cost-{self._name}", daemon=True).start()
            self._jobs.put((future, function, args))
        return future

    def abandon(self) -> None:
        """Leave the thread to whatever it hangs in; it ends when that returns."""
        with self._turn:
            if self._jobs is not None:
                self._jobs.put(None)
                self._jobs = None


def _serve(jobs: queue.SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        future, function, args = job
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(function(*args))
        except BaseException as error:  # the caller decides what an error means; this thread must outlive it
            future.set_exception(error)
        del job, future, function, args
