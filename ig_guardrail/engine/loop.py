"""The one thread that touches the model. Work is posted to it and answered through futures, in order of submission."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from ig_guardrail.causes import strip_tracebacks
from ig_guardrail.engine.futures import closed_error
from ig_guardrail.errors import EngineError, GuardrailError
from ig_guardrail.threads.daemons import Daemon
from ig_guardrail.threads.locks import ForkSafeLock, Home

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Job:
    """A call to be made on the thread, and the future its outcome goes to."""

    future: Future[Any]
    call: Callable[[], Any]


class Loop:
    """A daemon thread that makes calls one after another. It ends with `shutdown`, or when its owner is forgotten."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = ForkSafeLock()
        self._open = True
        self._home = Home()
        jobs = self._jobs
        self._thread = Daemon(name, _serve, (jobs,), lambda: jobs.put(None))
        weakref.finalize(self, self._jobs.put, None)

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """The future of `function(*args, **kwargs)`.

        EngineClosed in it after `shutdown`, EngineError in a process that was forked from the thread's.
        """
        future: Future[R] = Future()
        with self._lock:
            if self._open and not self.forked:
                self._jobs.put(Job(future, lambda: function(*args, **kwargs)))
                return future
        future.set_exception(forked_error() if self.forked else closed_error("the engine was shut down"))
        return future

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one in which the thread is."""
        return self._home.left

    def shutdown(self) -> None:
        """Take no more work; the thread ends after what was submitted. Idempotent."""
        with self._lock:
            if self._open:
                self._open = False
                self._jobs.put(None)

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread to end, at most `timeout` seconds; at once if this is the thread."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)


def _serve(jobs: queue.SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        if job.future.set_running_or_notify_cancel():
            settle(job.future, job.call)
        del job  # a waiting thread must not keep the last job's tensors


def settle(future: Future[Any], call: Callable[[], Any]) -> None:
    """Make a call; its outcome goes into the future."""
    try:
        result = call()
    except BaseException as error:  # the thread must outlive whatever a model does
        fail(future, error)
    else:
        future.set_result(result)


def fail(future: Future[Any], error: BaseException) -> None:
    """Put an error into a future: GuardrailErrors as they are, others as cause of an EngineError."""
    strip_tracebacks(error)  # the locals of its frames hold tensors
    future.set_exception(error if isinstance(error, GuardrailError) else _engine_error(error))


def forked_error() -> EngineError:
    """The error of work asked of an engine whose thread is in the process that this one was forked from."""
    return EngineError(
        "this process was forked after the model was opened, and has no thread to run it",
        where="engine",
        why="a fork copies the weights, but no threads, neither ours nor those that compute",
        fix="open the model in each process after the fork (gunicorn: no request before it), or start them by 'spawn'",
    )


def _engine_error(cause: BaseException) -> EngineError:
    error = EngineError(
        f"the engine failed: {type(cause).__name__}: {cause}",
        where="engine",
        why="what was being decoded is lost; the engine itself goes on",
        fix="if memory ran out, lower `candidates` or the length of the conversation; else report this error",
    )
    error.__cause__ = cause
    return error
