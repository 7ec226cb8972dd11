"""Cost models run beside the caller, one daemon thread each, so that a slow one can be timed out.

A call that hangs keeps its thread and nobody else's: what waits behind it gets a fresh one. Whatever a call raises,
even an exit or an interrupt, arrives as an error of ours, and says nothing of what it was given.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

from ig_guardrail.causes import ours
from ig_guardrail.errors import CostFailure, GuardrailError
from ig_guardrail.threads.daemons import Daemon
from ig_guardrail.threads.locks import ForkSafeLock, Home

MOST_LEFT = 8  # calls of one worker that may hang at a time

Failure: TypeAlias = Callable[[str], GuardrailError]


class WorkerCall(Future[Any]):
    """What a call gave. began, ended: when it got its turn and gave it up, `time.monotonic()` seconds; None before."""

    began: float | None = None
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has been at it."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began


_Job: TypeAlias = tuple[WorkerCall, Callable[..., Any], tuple[Any, ...]]


class WorkerThread:
    """A thread, what waits for it, and the call that it is at. It ends after a None, and never starts again."""

    def __init__(self, name: str, failure: Failure) -> None:
        """Raises RuntimeError where no thread can be started."""
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.current: WorkerCall | None = None
        self.thread: threading.Thread = Daemon(f"ig-cost-{name}", self._serve, (failure,), self.end)

    def end(self) -> None:
        """End after what was asked for."""
        self.jobs.put(None)

    def over_to(self, other: WorkerThread) -> None:
        """Hand on what waits, and end after the present call."""
        while True:
            try:
                job = self.jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                other.jobs.put(job)
        self.end()

    def _serve(self, failure: Failure) -> None:
        while (job := self.jobs.get()) is not None:
            self._make(job, failure)
            del job

    def _make(self, job: _Job, failure: Failure) -> None:
        call, function, args = job
        if not call.set_running_or_notify_cancel():
            return
        call.began, self.current = time.monotonic(), call
        told: GuardrailError | None = None
        try:
            result = function(*args)
        except BaseException as error:  # an exit of a cost model is a failure of it, and this thread must outlive it
            told = ours(error, failure)
        self.current, call.ended = None, time.monotonic()
        del job, function, args
        if told is None:
            call.set_result(result)
        else:
            call.set_exception(told)


class Worker:
    """Makes calls in order, on a thread that begins with the first one and ends with the worker.

    failure: makes the error of a call that raised another than ours, of what may be said of that
    """

    def __init__(self, name: str, failure: Failure | None = None) -> None:
        self._name = name
        self._failure = failure or (lambda reason: cost_failure(name, reason))
        self._lane: WorkerThread | None = None
        self._left: list[WorkerThread] = []
        self._home = Home()
        self._turn = ForkSafeLock()  # callers are of several threads

    def call(self, function: Callable[..., Any], *args: Any) -> WorkerCall:
        """Run `function(*args)` on the thread; its result, or an error of ours, arrives in the future."""
        call = WorkerCall()
        with self._turn:
            lane = self._lane_now()
            if lane is not None:
                lane.jobs.put((call, function, args))
                return call
        call.set_exception(self._failure(f"{MOST_LEFT} of its earlier calls hang still"))
        return call

    def seconds_left(self, call: WorkerCall, limit: float) -> float:
        """Seconds until `call` will have run for `limit`, or may have to wait for its turn; none or less: it hangs.

        A call before it that hangs is left to itself, and this one gets its turn.
        """
        with self._turn:
            if call.began is not None:
                return call.began + limit - time.monotonic()
            lane = self._lane
            if lane is None or not lane.thread.is_alive():
                return 0.0
            before = lane.current
            if before is None or before.began is None:
                return limit
            left = before.began + limit - time.monotonic()
            if left <= 0:
                self._leave(lane)
            return left if left > 0 else limit

    def abandon(self, call: WorkerCall) -> None:
        """Leave the thread to a call that hangs on it; it ends when that returns. What waits gets another thread."""
        call.cancel()
        with self._turn:
            if self._lane is not None and self._lane.current is call:
                self._leave(self._lane)

    def _leave(self, lane: WorkerThread) -> None:
        self._left.append(lane)
        self._lane = None
        if lane.jobs.empty():
            lane.end()
            return
        fresh = self._lane_now()
        if fresh is not None:
            lane.over_to(fresh)

    def _lane_now(self) -> WorkerThread | None:
        """The lane that serves; None where there can be none, since too many calls hang, or the interpreter ends."""
        if self._home.left:  # a forked process has no threads of its parent's
            self._home, self._lane, self._left = Home(), None, []
        if self._lane is not None and self._lane.thread.is_alive():
            return self._lane
        self._left = [lane for lane in self._left if lane.thread.is_alive()]
        if len(self._left) >= MOST_LEFT:
            return None
        try:
            self._lane = WorkerThread(self._name, self._failure)
        except RuntimeError:
            return None
        weakref.finalize(self, self._lane.end)
        return self._lane


def cost_failure(name: str, reason: str) -> CostFailure:
    """The error of a cost model, which the policy calls `name`."""
    return CostFailure(
        f"cost model '{name}' failed: {reason}",
        where=f"cost_models.{name}",
        why="what was not judged may not be shown",
        fix="repair the cost model; `on_error: open` would let it be skipped, and every receipt would say so",
    )
