"""Deadlines, cancellations and failures at any moments: each request ends in an outcome, and in no other error.

Time is a number that only waiting moves on, for the event loop too, so what happens at one moment happens in the order
that a schedule says, and every schedule can be played again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import heapq
import itertools
import os
import random
import selectors
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.causes import ours
from ig_guardrail.costs.workers import WorkerCall, cost_failure
from ig_guardrail.drive import runners
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.scoring.cost_registry import BoundCost
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.errors import EngineError, GenerationFailed
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Chunk, Message, Sampling, SearchSettings
from tests.toys import LetterCost, letters, toy_budget, toy_policy

SCHEDULES = int(os.environ.get("IG_STREAMS", "300"))
NEVER = 10_000.0  # when the last of what hangs is done
ASKED = GenerationRequest((Message("user", "hello"),), Sampling(max_tokens=10, temperature=1.0, top_p=1.0))


class Clock:
    """Time, and what happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()

    def __call__(self) -> float:
        return self.now

    def after(self, seconds: float, event: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._count), event))

    def advance(self, seconds: float) -> None:
        """Go on by so many seconds, or to the next event if that is no later, and let all of that moment happen."""
        end = self.now + seconds
        if not self._events or self._events[0][0] > end:
            self.now = end
            return
        self.now = max(self.now, self._events[0][0])
        while self._events and self._events[0][0] <= self.now:
            heapq.heappop(self._events)[2]()

    def wait(self, futures: list[Future[Any]], seconds: float) -> None:
        """As `concurrent.futures.wait`."""
        end = self.now + seconds
        while not futures[0].done() and self.now < end:
            self.advance(end - self.now)


class Loop(asyncio.SelectorEventLoop):
    """An event loop that lives in that time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        super().__init__(Selector(clock))

    def time(self) -> float:
        return self.clock.now


class Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout != 0:
            self.clock.advance(NEVER if timeout is None else timeout)
            ready = super().select(0)
        return ready


ERRORS: list[Callable[[], BaseException]] = [
    lambda: EngineError("the fans stopped"),
    lambda: RuntimeError("secret draft"),
    lambda: TimeoutError("secret draft"),
    lambda: SystemExit(3),
    lambda: KeyboardInterrupt(),
    lambda: asyncio.CancelledError(),
    lambda: concurrent.futures.CancelledError(),
    lambda: GeneratorExit(),
    lambda: StopIteration("secret draft"),
    lambda: StopAsyncIteration(),
    lambda: MemoryError(),
    lambda: BaseExceptionGroup("secret draft", [KeyboardInterrupt()]),
]


@dataclass
class Schedule:
    """When what is done, drawn from a seed."""

    seed: int
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.risk = self.dice.choice([0.0, 0.02, 0.1, 0.3])
        self.deadline = self.dice.choice([None, *map(float, range(0, 24, 2))])
        self.limit = self.dice.choice([1.0, 2.0, 3.0, 5.0])
        self.leaves = self.dice.choice([None, None, *map(float, range(12))])
        self.open = self.dice.random() < 0.3

    def seconds(self) -> float:
        hangs = self.dice.random() < self.risk / 2
        return NEVER if hangs else self.dice.choice([0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0])

    def late(self, made: Callable[[], Future[Any]], future: Future[Any], fail: Callable[..., BaseException]) -> None:
        """Settle `future` at some moment, as `made` is then, or with an error."""
        error = self.dice.choice(ERRORS)() if self.dice.random() < self.risk else None

        def settle() -> None:
            if not future.set_running_or_notify_cancel():
                return
            if error is not None:
                future.set_exception(fail(error))
                return
            done = made()
            found = done.exception()
            if found is None:
                future.set_result(done.result())
            else:
                future.set_exception(found)

        seconds = self.seconds()
        if seconds == 0:
            settle()
        else:
            self.clock.after(seconds, settle)


class LateEngine:
    """A scripted engine whose work is done when a schedule says."""

    def __init__(self, engine: ScriptedEngine, schedule: Schedule) -> None:
        self._engine, self._schedule = engine, schedule

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._engine, name)
        if name not in ("open", "extend", "append", "expand"):
            return method

        def late(*args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            self._schedule.late(lambda: method(*args, **kwargs), future, lambda error: error)
            return future

        return late


class LateWorker:
    """A worker in the schedule's time. Each call has a thread of its own."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def call(self, function: Callable[..., Any], *args: Any) -> WorkerCall:
        def made() -> Future[Any]:
            done: Future[Any] = Future()
            done.set_result(function(*args))
            return done

        call = WorkerCall()
        call.began = self._schedule.clock.now
        self._schedule.late(made, call, lambda error: ours(error, lambda reason: cost_failure("level", reason)))
        return call

    def seconds_left(self, call: WorkerCall, limit: float) -> float:
        assert call.began is not None
        return call.began + limit - self._schedule.clock.now

    def abandon(self, call: WorkerCall) -> None:
        call.cancel()


def rail(schedule: Schedule) -> Guardrail:
    search = SearchSettings(block=2, hold=2, candidates=2, shortest=0, steer=None, restart=None)
    on_error = {"on_error": "open"} if schedule.open else {}
    policy = toy_policy([toy_budget("b", every=2, budget=1.0)], search, **on_error)
    specs = tuple(replace(spec, timeout_s=schedule.limit) for spec in policy.cost_models)
    policy = replace(policy, cost_models=specs)
    engine: Any = LateEngine(ScriptedEngine(letters((3, 1, 1, 1))), schedule)
    made = Guardrail(engine, policy, {"level": LetterCost("level")})
    made._approved.set()
    worker: Any = LateWorker(schedule)
    by_name = {name: BoundCost(cost.spec, cost.model, worker) for name, cost in made.costs.by_name.items()}
    made.costs = replace(made.costs, by_name=by_name)
    return made


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    now, wait = runners.now, concurrent.futures.wait
    yield
    runners.now, concurrent.futures.wait = now, wait


def checked(schedule: Schedule, chunks: list[Chunk], error: BaseException | None) -> None:
    """What a request may end in: an outcome that fits the clock, and nothing of what others said."""
    late = schedule.deadline is not None and schedule.clock.now >= schedule.deadline
    if error is not None:
        assert isinstance(error, GenerationFailed), repr(error)
        assert "secret" not in f"{error}{error.receipt}{error.__cause__}"
        assert error.__cause__ is not None
        assert error.__cause__.__cause__ is None
        assert error.receipt.verdict.outcome == "failed"
        return
    receipt = chunks[-1].receipt
    assert receipt is not None
    assert receipt.verdict.outcome in ("completed", "refused", "ended", "cancelled")
    assert (receipt.verdict.outcome == "cancelled") <= late
    assert receipt.text == "".join(chunk.text for chunk in chunks)


@given(st.integers(0, 2**63))
@settings(max_examples=SCHEDULES, deadline=None)
def test_a_request_ends_in_an_outcome_whatever_happens_when(seed: int) -> None:
    schedule = Schedule(seed)
    one = rail(schedule)
    runners.now, concurrent.futures.wait = schedule.clock, schedule.clock.wait  # type: ignore[assignment]
    chunks: list[Chunk] = []
    failure: BaseException | None = None
    stream = runners.run_sync(one._flow(ASKED), schedule.deadline)
    try:
        for chunk in stream:
            chunks.append(chunk)
            if schedule.leaves is not None and schedule.clock.now >= schedule.leaves:
                stream.close()
                break
    except BaseException as error:
        failure = error
    if schedule.leaves is None or failure is not None:
        checked(schedule, chunks, failure)
    schedule.clock.advance(2 * NEVER)
    assert one.engine.live_nodes() == 0


@given(st.integers(0, 2**63))
@settings(max_examples=SCHEDULES, deadline=None)
def test_on_an_event_loop_too(seed: int) -> None:
    schedule = Schedule(seed)
    one = rail(schedule)
    runners.now = schedule.clock
    chunks: list[Chunk] = []

    async def read() -> None:
        async for chunk in runners.run_async(one._flow(ASKED), schedule.deadline):
            chunks.append(chunk)

    async def leave() -> BaseException | None:
        task = asyncio.ensure_future(read())
        if schedule.leaves is not None:
            loop.call_at(schedule.leaves, task.cancel)
        await asyncio.wait([task])
        if task.cancelled():
            assert schedule.leaves is not None
            assert schedule.clock.now >= schedule.leaves
            raise Left
        return task.exception()

    loop = Loop(schedule.clock)
    try:
        checked(schedule, chunks, loop.run_until_complete(leave()))
    except Left:
        pass
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    schedule.clock.advance(2 * NEVER)
    assert one.engine.live_nodes() == 0


class Left(Exception):
    """The caller cancelled."""
