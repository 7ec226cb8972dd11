"""Runs the work of all requests side by side: in each step, the passes that they wait for are read together.

Steps take rows up to a limit, from whoever was served longest ago first, one pass of each before a second of any; so a
wide request slows the others only by the rows that fit beside them. At most one pass of a step has several tokens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ig_guardrail.engine.decoding.decode import EngineWork
from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.decoding.prefill import Pace
from ig_guardrail.engine.futures import WorkFuture, closed_error
from ig_guardrail.engine.loop import Loop, fail, forked_error
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.threads.locks import ForkSafeLock

R = TypeVar("R")

ROWS = 64  # of one step
LATELY = 8  # steps; a stream that drew within so many waits for its next token, though its block may be judged just now

ReadPasses = Callable[[Sequence[Pass[Any]]], Sequence[PassResult | BaseException]]


@dataclass(slots=True, eq=False)
class ScheduledWork:
    """Work that was begun: the passes it waits for, by place, and what was read of them so far."""

    future: WorkFuture[Any]
    work: EngineWork[Any]
    wanted: dict[int, Pass[Any]] = field(default_factory=dict)
    readings: dict[int, PassResult] = field(default_factory=dict)
    served: int = 0
    account: RequestUsage | None = None  # of the request that asked, once something was read for it

    @property
    def draws(self) -> bool:
        """Whether it waits for single tokens, as a stream does."""
        return any(not one.is_block for one in self.wanted.values())

    def ask(self, passes: Sequence[Pass[Any]]) -> None:
        self.wanted, self.readings = dict(enumerate(passes)), {}

    def take(self, place: int, reading: PassResult, step: int) -> None:
        """Note what was read for one of the passes, in which step."""
        one = self.wanted.pop(place)
        read = sum(map(len, one.tokens)) if reading.read is None else reading.read
        if read:
            one.account.note(read)
        self.readings[place] = reading
        self.served, self.account = step, one.account

    def begin(self) -> None:
        """Go to the first passes; StopIteration with the result if there are none."""
        self.ask(next(self.work))

    def go_on(self) -> None:
        """Go to the next passes with all that was read; StopIteration with the result at the end."""
        readings = [reading for _, reading in sorted(self.readings.items(), key=lambda item: item[0])]
        self.ask(self.work.send(readings))

    def drop(self, error: BaseException) -> None:
        """End with an error, which is raised."""
        self.ask(self.work.throw(error))

    def dropped(self) -> bool:
        """Whether the request was closed meanwhile, or nobody waits for it any more."""
        return self.future.abandoned or any(one.account.closed for one in self.wanted.values())


class Scheduler:
    """One per engine; `submit` may be called from any thread, everything else runs on the loop's."""

    def __init__(
        self,
        loop: Loop,
        read: ReadPasses,
        pace: Pace,
        working: Callable[[], AbstractContextManager[Any]] = nullcontext,
        rows: int = ROWS,
    ) -> None:
        """working: what all work is done in"""
        self._loop = loop
        self._read = read
        self._pace = pace
        self._working = working
        self._rows = rows
        self._lock = ForkSafeLock()
        self._arrived: deque[ScheduledWork] = deque()
        self._tasks: list[ScheduledWork] = []
        self._awake = False
        self._steps = 0
        self._drew: dict[RequestUsage, int] = {}  # requests that drew lately -> the step in which they did last

    def submit(self, work: EngineWork[R]) -> Future[R]:
        """What `work` returns; EngineClosed in it once the loop was shut down, EngineError in a forked process."""
        task = ScheduledWork(WorkFuture(), work)
        if self._loop.forked:  # nobody is awake here, whatever was so in the process that was forked
            task.future.set_exception(forked_error())
            return task.future
        with self._lock:
            self._arrived.append(task)
            if self._awake:
                return task.future
            called = self._loop.submit(self._run)
            if called.done() and called.exception() is not None:
                self._arrived.remove(task)
                return called  # type: ignore[return-value]  # it holds an error and no result
            self._awake = True
        return task.future

    def _run(self) -> None:
        """Step until nothing is left; what arrives meanwhile joins. One call of this is posted at a time."""
        with self._working():
            while self._goes_on():
                self._step()

    def _goes_on(self) -> bool:
        """Begin what has arrived; False, and asleep, if there is nothing to do."""
        while True:
            self._begin()
            with self._lock:
                if self._tasks or not self._arrived:
                    self._awake = bool(self._tasks)
                    return self._awake

    def _begin(self) -> None:
        while self._arrived:
            task = self._arrived.popleft()
            if task.future.set_running_or_notify_cancel():
                task.served = self._steps  # no newcomer goes before those who wait
                self._tasks.append(task)
                self._resume(task, task.begin)

    def _step(self) -> None:
        """Read what fits into one step, and let those go on who have all they wait for."""
        for task in [task for task in self._tasks if task.dropped()]:
            self._resume(task, partial(task.drop, closed_error("the request was closed")))
        chosen = self._choose()
        failures = self._take(chosen) if chosen else {}
        for task in dict.fromkeys(task for task, _ in chosen):
            if task in failures:
                self._resume(task, partial(task.drop, failures[task]))
            elif not task.wanted:
                self._resume(task, task.go_on)

    def _take(self, chosen: Sequence[tuple[ScheduledWork, int]]) -> dict[ScheduledWork, BaseException]:
        """Read passes; the errors of those that failed, which may be all."""
        try:
            readings = self._read([task.wanted[place] for task, place in chosen])
        except BaseException as error:  # the thread must outlive whatever a model does
            return {task: error for task, _ in chosen}
        self._steps += 1
        failures: dict[ScheduledWork, BaseException] = {}
        for (task, place), reading in zip(chosen, readings, strict=True):
            if isinstance(reading, BaseException):
                failures[task] = reading
            else:
                if not task.wanted[place].is_block:
                    self._drew[task.wanted[place].account] = self._steps
                task.take(place, reading, self._steps)
        self._drew = {account: step for account, step in self._drew.items() if self._steps - step < LATELY}
        return failures

    def _streams_wait(self, task: ScheduledWork) -> bool:
        """Whether somebody waits for a token: another task, or another request that drew lately and is not closed."""
        lately = any(account is not task.account and not account.closed for account in self._drew)
        return lately or any(other.draws for other in self._tasks if other is not task)

    def _choose(self) -> list[tuple[ScheduledWork, int]]:
        """Passes for one step: rows up to the limit, but at least one pass."""
        waiting = deque(sorted(self._tasks, key=lambda task: task.served))
        turns = {id(task): iter(task.wanted.items()) for task in waiting}
        chosen: list[tuple[ScheduledWork, int]] = []
        room, block = self._rows, False
        while waiting:
            task = waiting.popleft()
            place, one = next(turns[id(task)], (0, None))
            if one is None or (chosen and one.rows.count > room) or (block and one.is_block):
                continue
            chosen.append((task, place))
            room, block = room - one.rows.count, block or one.is_block
            waiting.append(task)
        return chosen

    def _resume(self, task: ScheduledWork, call: Callable[[], None]) -> None:
        """Let a task go on to its next passes, or to its end. Whoever waits for the end finds all else freed."""
        self._pace.streams_wait = self._streams_wait(task)
        try:
            call()
            return
        except StopIteration as done:
            end = partial(task.future.set_result, done.value)
        except BaseException as error:
            end = partial(fail, task.future, error)
        task.ask(())  # whoever still knows the task, a step or an error's frames, keeps nothing that was read
        self._tasks.remove(task)
        end()
