"""A compilation on a thread of its own, and for how long it is waited for.

What is too complex is told by the time that its thread has worked, and not by the clock: on a busy host a small form
takes long as well. That one is compiled on while nobody waits, so that who asks again finds it done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Generic, TypeVar

R = TypeVar("R")

WORKED_S = 10.0  # seconds of work that one may take
WAITED_S = 30.0  # seconds by the clock in which that work has to be done
LOOK_S = 0.05  # at least between two looks at a thread


class Compilation(Generic[R]):
    """Work that was begun, for all who want what it comes to.

    late: the error of work that takes too long; told whether it was the work, or the host that had no time for it
    """

    def __init__(self, work: Callable[[], R], late: Callable[[bool], BaseException]) -> None:
        self._work, self._late = work, late
        self._outcome: Future[R] = Future()
        self._read: Callable[[], float] = lambda: 0.0  # what the thread has worked; nothing before it begins
        self._thread = threading.Thread(target=self._run, name="ig-grammar", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether its thread still works. After a fork no thread of the parent does."""
        return self._thread.is_alive()

    def awaited(self) -> Future[R]:
        """The future of its outcome, or of the error that it takes too long."""
        made: Future[R] = Future()
        self._outcome.add_done_callback(lambda done: settle(made, done.exception() or done.result()))
        self._look_after(WORKED_S, made, time.monotonic())
        return made

    def _run(self) -> None:
        self._read = _thread_clock()
        try:
            outcome: Any = self._work()
        except BaseException as error:  # whoever waits must hear of it
            outcome = error
        settle(self._outcome, outcome)

    def _look_after(self, seconds: float, made: Future[R], since: float) -> None:
        timer = threading.Timer(seconds, self._look, (made, since))
        timer.daemon = True
        made.add_done_callback(lambda _: timer.cancel())
        timer.start()

    def _look(self, made: Future[R], since: float) -> None:
        """Give up, or look again when so much work can have been done."""
        worked, waited = self._read(), time.monotonic() - since
        if worked >= WORKED_S or waited >= WAITED_S:
            settle(made, self._late(worked >= WORKED_S))
        elif not made.done():
            self._look_after(max(LOOK_S, min(WORKED_S - worked, WAITED_S - waited)), made, since)


def settle(future: Future[Any], outcome: Any) -> None:
    """Put an outcome into a future that another may have settled first."""
    with suppress(InvalidStateError):
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _thread_clock() -> Callable[[], float]:
    """Tells any thread for how long the one that calls has worked; where no system says that, the whole process."""
    if not hasattr(time, "pthread_getcpuclockid"):
        before = time.process_time()
        return lambda: time.process_time() - before
    clock = time.pthread_getcpuclockid(threading.get_ident())

    def read() -> float:
        try:
            return time.clock_gettime(clock)
        except OSError:  # it has ended, and with it the work
            return 0.0

    return read
