"""Slots: nobody has more than there are, everyone who waits is served or told, and none is lost, whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.integrations.openai_server.access.admission import Admission
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.faults import Refused
from tests.unit.server.test_keys import Clock

LONG = 1_000.0
STEPS = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["finish", "break", "cancel", "cancel at once"]), st.integers(0, 30)),
    st.tuples(st.just("turn"), st.just(0)),
    st.tuples(st.just("drain"), st.just(0)),
)


class Crowd:
    """Requests that hold slots until they are told how to end."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.held: Counter[str] = Counter()
        self.all: list[tuple[asyncio.Task[str], asyncio.Event, list[bool]]] = []

    def ask(self, caller: Caller) -> None:
        end, breaks = asyncio.Event(), [False]
        self.all.append((asyncio.ensure_future(self._serve(caller, end, breaks)), end, breaks))

    async def _serve(self, caller: Caller, end: asyncio.Event, breaks: list[bool]) -> str:
        try:
            await self.admission.enter(caller)
        except Refused as refused:
            return "refused" if refused.fault.status in (429, 503) and refused.fault.retry_after else "badly refused"
        try:
            self.held[caller.key] += 1
            await end.wait()
            if breaks[0]:
                raise OSError
            return "served"
        except OSError:
            return "broken"
        finally:
            self.held[caller.key] -= 1
            self.admission.leave(caller)


@given(
    st.lists(STEPS, min_size=10, max_size=60),
    st.integers(1, 3),
    st.integers(0, 3),
    st.sampled_from([0.0, LONG]),
    st.integers(1, 2),
)
def test_no_slot_is_lost_or_given_twice(
    steps: list[tuple[str, int]], at_once: int, queue: int, wait: float, own: int
) -> None:
    async def play() -> None:
        admission = Admission(at_once, queue, wait)
        callers = [Caller(("p",), key=f"k{n}", at_once=own if n else None) for n in range(3)]
        crowd, drained = Crowd(admission), False
        for step, number in steps:
            if step == "ask":
                crowd.ask(callers[number])
            elif step == "turn":
                await asyncio.sleep(0)
            elif step == "drain":
                admission.drain(LONG)
                drained = True
            elif crowd.all:
                task, end, breaks = crowd.all[number % len(crowd.all)]
                breaks[0] = step == "break"
                if step.startswith("cancel"):
                    task.cancel()
                else:
                    end.set()
            if step not in ("cancel at once", "ask"):
                await asyncio.sleep(0)
            assert admission.running <= at_once
            assert crowd.held.total() <= admission.running
            assert all(crowd.held[f"k{n}"] <= own for n in (1, 2))
            assert admission.waiting <= queue + len(crowd.all) * (step in ("ask", "cancel at once"))
        for _, end, _ in crowd.all:
            end.set()
        ended = await asyncio.gather(*(task for task, _, _ in crowd.all), return_exceptions=True)
        assert all(one in ("served", "broken", "refused") or isinstance(one, asyncio.CancelledError) for one in ended)
        assert (admission.running, admission.waiting) == (0, 0)
        if not drained:
            await admission.enter(callers[1])
            admission.leave(callers[1])
        assert not admission._running

    asyncio.run(play())


async def test_who_waits_is_served_in_turn_and_no_key_holds_up_another() -> None:
    admission, greedy, other = Admission(2, 3, LONG), Caller((), key="a", at_once=1), Caller((), key="b")
    crowd = Crowd(admission)
    crowd.ask(greedy)
    crowd.ask(greedy)
    crowd.ask(greedy)  # one is served, one may wait
    crowd.ask(other)
    await asyncio.sleep(0)
    assert crowd.held == Counter(a=1, b=1)
    assert await crowd.all[2][0] == "refused"
    crowd.all[0][1].set()
    await crowd.all[0][0]
    await asyncio.sleep(0)
    assert crowd.held == Counter(a=1, b=1)
    for _, end, _ in crowd.all:
        end.set()
    assert [await task for task, _, _ in crowd.all] == ["served", "served", "refused", "served"]


@pytest.mark.parametrize("wait", [0.0, LONG])
async def test_who_waits_in_vain_or_leaves_takes_no_place(wait: float) -> None:
    admission, caller = Admission(1, 1, wait), Caller((), key="a")
    crowd = Crowd(admission)
    crowd.ask(caller)
    crowd.ask(caller)
    await asyncio.sleep(0)
    task = crowd.all[1][0]
    if wait:
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    else:
        assert await task == "refused"
    assert (admission.running, admission.waiting) == (1, 0)
    crowd.all[0][1].set()
    await crowd.all[0][0]


async def test_a_slot_that_comes_as_its_waiter_leaves_goes_to_the_next() -> None:
    admission, caller = Admission(1, 2, LONG), Caller((), key="")
    await admission.enter(caller)
    crowd = Crowd(admission)
    crowd.ask(caller)
    crowd.ask(caller)
    await asyncio.sleep(0)
    admission.leave(caller)  # now the first has its turn, and has not woken yet
    crowd.all[0][0].cancel()
    crowd.all[1][1].set()
    assert await crowd.all[1][0] == "served"
    assert (admission.running, admission.waiting) == (0, 0)


async def test_while_it_drains_nothing_new_is_served_and_nobody_waits() -> None:
    admission, caller = Admission(1, 2, LONG), Caller((), key="a")
    crowd = Crowd(admission)
    crowd.ask(caller)
    crowd.ask(caller)
    await asyncio.sleep(0)
    admission.drain(LONG)
    crowd.ask(caller)
    assert [await task for task, _, _ in crowd.all[1:]] == ["refused", "refused"]
    crowd.all[0][1].set()
    assert await crowd.all[0][0] == "served"


async def test_requests_per_minute_are_counted() -> None:
    clock, caller = Clock(), Caller((), key="a", per_minute=2)
    admission = Admission(9, 0, 0.0, clock)
    for _ in range(2):
        await admission.enter(caller)
    with pytest.raises(Refused) as refused:
        await admission.enter(caller)
    assert (refused.value.fault.status, refused.value.fault.retry_after) == (429, 30)
    clock.time += 30
    await admission.enter(caller)
    with pytest.raises(Refused):
        await admission.enter(caller)
    await admission.enter(Caller((), key="b", per_minute=2))


async def test_at_the_end_of_the_time_to_drain_answers_are_closed_and_told() -> None:
    admission, closed = Admission(1, 0, 0.0), []

    async def endless() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    told = admission.until_over(endless())
    assert await anext(told) == 1
    waiting = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    admission.drain(0)
    with pytest.raises(Refused) as refused:
        await waiting
    assert refused.value.fault.status == 503
    assert closed == [True]
    with pytest.raises(Refused):
        await anext(admission.until_over(endless()))


async def test_a_caller_who_leaves_is_no_end_of_the_server() -> None:
    admission = Admission(1, 0, 0.0)

    async def endless() -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield 1

    waiting = asyncio.ensure_future(anext(admission.until_over(endless())))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
