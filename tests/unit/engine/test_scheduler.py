"""The scheduler alone, on passes that nobody computes: who is read with whom, in which order, and what ends whom."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ig_guardrail.engine.decoding.decode import EngineWork
from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.decoding.prefill import Pace
from ig_guardrail.engine.loop import Loop
from ig_guardrail.engine.scheduler import LATELY, Scheduler
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.errors import EngineClosed, EngineError, RequestError

NOTHING = PassResult(torch.zeros(1), {})


class Log:
    """A reader that notes which requests' passes came together; a gate holds the first step until all have arrived."""

    def __init__(self, rows: int = 64) -> None:
        self.steps: list[list[int]] = []
        self.gate = threading.Event()
        self.reached = threading.Event()
        self.fails: set[int] = set()
        self.loop = Loop("test")
        self.pace = Pace(512, 64)
        self.scheduler = Scheduler(self.loop, self.read, self.pace, rows=rows)

    def read(self, passes: Sequence[Pass[Any]]) -> list[PassResult]:
        self.reached.set()
        assert self.gate.wait(10)
        self.steps.append([one.account.first_root for one in passes])
        if len(self.steps) in self.fails:
            raise MemoryError("too much")
        return [NOTHING] * len(passes)


def a_pass(account: RequestUsage, rows: int = 1, tokens: int = 1) -> Pass[Any]:
    return Pass(SimpleNamespace(count=rows), [[0] * tokens] * rows, 1, (), account)  # type: ignore[arg-type]


def work(account: RequestUsage, steps: int, rows: Sequence[int] = (1,), tokens: int = 1) -> EngineWork[str]:
    for _ in range(steps):
        readings = yield [a_pass(account, count, tokens) for count in rows]
        assert len(readings) == len(rows)
    return f"done {account.first_root}"


@pytest.fixture
def log() -> Any:
    log = Log()
    yield log
    log.gate.set()
    log.loop.shutdown()


def test_all_are_read_in_one_step_and_leave_when_they_are_done(log: Log) -> None:
    futures = [log.scheduler.submit(work(RequestUsage(i), steps)) for i, steps in enumerate([3, 1, 2])]
    log.gate.set()
    assert [future.result(10) for future in futures] == ["done 0", "done 1", "done 2"]
    assert [sorted(step) for step in log.steps if len(step) > 1][-1] == [0, 2]
    assert sum(map(len, log.steps)) == 6


def test_passes_are_counted_for_their_request(log: Log) -> None:
    account = RequestUsage(1)
    log.gate.set()
    log.scheduler.submit(work(account, 3, (2, 2))).result(10)
    assert account.forwards == 6


def test_a_wide_request_leaves_room_for_narrow_ones() -> None:
    log = Log(rows=8)
    log.scheduler.submit(work(RequestUsage(9), 1))  # holds the first step
    wide = log.scheduler.submit(work(RequestUsage(0), 3, (6, 6, 6)))
    narrow = [log.scheduler.submit(work(RequestUsage(i), 6)) for i in (1, 2)]
    log.gate.set()
    assert wide.result(10) == "done 0"
    for future in narrow:
        future.result(10)
    beside = [step for step in log.steps if 0 in step]
    assert all(step.count(0) == 1 for step in beside), "6 and 6 rows do not fit into 8"
    for one in (1, 2):
        assert max(i for i, step in enumerate(log.steps) if one in step) <= 7, "a narrow one is in nearly every step"
    log.loop.shutdown()


def prompt(account: RequestUsage, log: Log, steps: int, pieces: list[int]) -> EngineWork[str]:
    """A prompt of so many pieces; how long they were is noted."""
    for _ in range(steps):
        pieces.append(log.pace.piece())
        yield [a_pass(account, tokens=pieces[-1])]
    return "read"


def test_pieces_of_prompts_are_short_beside_streams_and_while_their_blocks_are_judged(log: Log) -> None:
    pieces: list[int] = []
    stream = RequestUsage(1)
    reading = log.scheduler.submit(prompt(RequestUsage(0), log, 3 + LATELY, pieces))
    log.scheduler.submit(work(stream, 2))  # its block ends long before the prompt, and the next has not begun
    log.gate.set()
    assert reading.result(10) == "read"
    assert pieces == [512, *[64] * (LATELY + 1), 512]


def test_a_stream_that_was_closed_waits_for_nothing(log: Log) -> None:
    pieces: list[int] = []
    stream, asked = RequestUsage(1), RequestUsage(0)
    log.gate.set()
    log.scheduler.submit(work(stream, 2)).result(10)
    stream.closed = True
    log.scheduler.submit(prompt(asked, log, 2, pieces)).result(10)
    log.scheduler.submit(work(asked, 1)).result(10)
    log.scheduler.submit(prompt(asked, log, 2, pieces)).result(10)  # a second context of the same request
    assert pieces == [512, 512, 64, 512]


def test_a_pass_wider_than_a_step_is_read_all_the_same() -> None:
    log = Log(rows=4)
    log.gate.set()
    assert log.scheduler.submit(work(RequestUsage(0), 2, (10,))).result(10) == "done 0"
    log.loop.shutdown()


def test_one_pass_of_several_tokens_a_step(log: Log) -> None:
    log.scheduler.submit(work(RequestUsage(9), 1))
    futures = [log.scheduler.submit(work(RequestUsage(i), 1, tokens=5)) for i in range(3)]
    futures.append(log.scheduler.submit(work(RequestUsage(7), 3)))
    log.gate.set()
    for future in futures:
        future.result(10)
    assert all(sum(one < 3 for one in step) <= 1 for step in log.steps)
    assert sum(7 in step for step in log.steps) == 3


def test_a_closed_request_is_dropped_before_the_next_step(log: Log) -> None:
    gone, stays = RequestUsage(1), RequestUsage(2)
    futures = [log.scheduler.submit(work(account, 5)) for account in (gone, stays)]
    gone.closed = True
    log.gate.set()
    with pytest.raises(EngineClosed, match="the request was closed"):
        futures[0].result(10)
    assert futures[1].result(10) == "done 2"
    assert sum(1 in step for step in log.steps) <= 1


def test_a_failed_step_ends_those_who_were_in_it_and_nobody_else(log: Log) -> None:
    log.fails = {1}
    first = log.scheduler.submit(work(RequestUsage(1), 2))
    log.gate.set()
    with pytest.raises(EngineError, match="MemoryError: too much"):
        first.result(10)
    assert log.scheduler.submit(work(RequestUsage(2), 2)).result(10) == "done 2"


def test_errors_of_the_work_itself_reach_who_asked(log: Log) -> None:
    def broken() -> EngineWork[None]:
        raise RequestError("no such thing")
        yield []

    log.gate.set()
    with pytest.raises(RequestError, match="no such thing"):
        log.scheduler.submit(broken()).result(10)


def test_work_that_needs_no_pass_is_done_at_once(log: Log) -> None:
    assert log.scheduler.submit(work(RequestUsage(1), 0)).result(10) == "done 1"
    assert log.steps == []


def test_after_shutdown_work_is_refused(log: Log) -> None:
    log.loop.shutdown()
    with pytest.raises(EngineClosed, match="the engine was shut down"):
        log.scheduler.submit(work(RequestUsage(1), 1)).result(10)


def test_a_cancelled_future_is_not_begun(log: Log) -> None:
    held = log.scheduler.submit(work(RequestUsage(1), 1))
    late = log.scheduler.submit(work(RequestUsage(2), 1))
    assert late.cancel()
    log.gate.set()
    held.result(10)
    log.scheduler.submit(work(RequestUsage(3), 1)).result(10)
    assert not any(2 in step for step in log.steps)


def test_work_that_nobody_waits_for_any_more_ends_at_its_next_step(log: Log) -> None:
    left = log.scheduler.submit(work(RequestUsage(1), 1_000))
    other = log.scheduler.submit(work(RequestUsage(2), 3))
    assert log.reached.wait(10)
    assert not left.cancel()
    log.gate.set()
    with pytest.raises(EngineClosed, match="the request was closed"):
        left.result(10)
    assert other.result(10) == "done 2"
    assert sum(1 in step for step in log.steps) <= 1


def test_newcomers_do_not_go_before_those_who_wait() -> None:
    log = Log(rows=40)
    wide = log.scheduler.submit(work(RequestUsage(0), 3, (32,)))
    log.gate.set()
    served = []
    for i in range(200):
        if wide.done():
            break
        for future in [log.scheduler.submit(work(RequestUsage(1 + k), 1, (20,))) for k in range(4)]:
            future.result(10)
        served.append(i)
    assert wide.done()
    assert len(served) < 20
    log.loop.shutdown()


def test_the_loop_is_posted_one_run_at_a_time(log: Log) -> None:
    futures = [log.scheduler.submit(work(RequestUsage(i), 1)) for i in range(50)]
    assert log.loop._jobs.qsize() <= 1
    log.gate.set()
    for future in futures:
        future.result(10)
    log.scheduler.submit(work(RequestUsage(99), 1)).result(10)
