"""What is written on a thread of its own, beside the answers, in the order in which it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from ig_guardrail.costs.workers import Failure, Worker
from ig_guardrail.threads.locks import ForkSafeLock


class Backlog:
    """Calls that were begun, and need not be waited for. Callers are of several threads.

    what     is written, in the plural
    failure  makes the error of a call, of what may be said of it
    most     how many may wait; None sets no limit
    """

    def __init__(self, what: str, failure: Failure, most: int | None = None) -> None:
        self._worker = Worker(what, failure)
        self._what, self._failure, self._most = what, failure, most
        self._waiting: list[Future[Any]] = []
        self._turn = ForkSafeLock()

    def begin(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a call made behind those before it; it fails at once where too many wait."""
        with self._turn:
            self._waiting = [call for call in self._waiting if not call.done()]
            if self._most is None or len(self._waiting) < self._most:
                call: Future[Any] = self._worker.call(function, *args)
                self._waiting.append(call)
                return call
        full: Future[Any] = Future()
        full.set_exception(self._failure(f"{self._most} {self._what} wait to be written, and this one is left out"))
        return full

    def flush(self, seconds: float = 5.0) -> None:
        """Wait until what was begun is done, so many seconds at most."""
        wait(list(self._waiting), seconds)
