"""The one thread: order, outcomes, and an end that leaves nobody waiting."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from ig_guardrail.engine.loop import Loop
from ig_guardrail.errors import EngineClosed, EngineError, RequestError


def test_work_is_done_in_order_on_one_other_thread() -> None:
    loop, seen = Loop("test"), []
    futures = [loop.submit(lambda n=n: seen.append((n, threading.current_thread().name))) for n in range(20)]
    for future in futures:
        future.result()
    assert seen == [(n, "test") for n in range(20)]
    loop.shutdown()


def test_errors_arrive_in_the_future_and_the_thread_goes_on() -> None:
    loop = Loop("test")

    def fail(error: BaseException) -> None:
        raise error

    with pytest.raises(RequestError, match="no"):
        loop.submit(fail, RequestError("no")).result()
    with pytest.raises(EngineError, match="the engine failed: KeyError: 'x'") as caught:
        loop.submit(fail, KeyError("x")).result()
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(EngineError, match="SystemExit"):
        loop.submit(fail, SystemExit()).result()
    assert loop.submit(lambda: 1).result() == 1
    loop.shutdown()


@pytest.mark.slow
def test_an_error_keeps_nothing_of_the_work_alive() -> None:
    class Tensor:
        pass

    loop, kept = Loop("test"), []

    def fail() -> None:
        tensor = Tensor()
        kept.append(weakref.ref(tensor))
        raise ValueError(f"{tensor is not None}")

    future = loop.submit(fail)
    with pytest.raises(EngineError, match="ValueError"):
        future.result()
    gc.collect()
    assert kept[0]() is None
    loop.shutdown()


def test_a_cancelled_future_is_not_worked_on() -> None:
    loop, gate, done = Loop("test"), threading.Event(), []
    first = loop.submit(gate.wait)
    second = loop.submit(done.append, 1)
    assert second.cancel()
    gate.set()
    first.result()
    loop.submit(lambda: None).result()
    assert done == []
    loop.shutdown()


def test_after_shutdown_work_is_refused_and_what_was_submitted_is_answered() -> None:
    loop, gate = Loop("test"), threading.Event()
    early = loop.submit(gate.wait)
    loop.shutdown()
    loop.shutdown()
    with pytest.raises(EngineClosed, match="the engine was shut down"):
        loop.submit(lambda: None).result()
    gate.set()
    assert early.result() is True
    loop.join(10)


@pytest.mark.slow
def test_a_forgotten_loop_ends_its_thread() -> None:
    loop = Loop("forgotten")
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "forgotten"]
    assert thread.daemon
    del loop
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
