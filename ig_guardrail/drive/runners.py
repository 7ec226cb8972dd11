"""Runs a drive for a caller: one text for sync and async, which differ only in how they wait.

The caller pulls; between pulls nothing runs. Closing the caller's generator, cancelling its task or passing the
deadline closes the drive, whose `finally` closes the engine's nodes, which stops decoding within one step.

What a drive is told after a wait depends on the clock and the future alone, and on no race between them: past the
deadline that the deadline passed, whatever the future holds; else what the future holds; else that the wait's own time
is over. It is told errors of ours only.

Also here: what a drive asks of its runner (wait for a future, show a text), and how the runner says that time is up.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ig_guardrail.causes import log_cause, name_cause, strip_tracebacks
from ig_guardrail.errors import EngineError, GuardrailError
from ig_guardrail.types import Chunk, TokenLogprob

Result = TypeVar("Result")
Sent: TypeAlias = tuple[Any, BaseException | None]  # what is sent into a drive, or thrown

LONGEST_WAIT_S = 3600.0  # at a time; operating systems cannot wait for as long as a caller may ask for

now: Callable[[], float] = time.monotonic


def run_sync(drive: Waiting[Chunk], deadline: float | None) -> Generator[Chunk, None, None]:
    """Chunks of a drive; the last, which it returns, carries the receipt.

    deadline: `time.monotonic()` seconds, or None.
    """
    try:
        step = next(drive)
        while True:
            if isinstance(step, Show):
                yield Chunk(step.text, logprobs=step.logprobs, reasoning=step.reasoning)
                step = drive.send(None)
            else:
                step = _resume(drive, *_wait(step, deadline))
    except StopIteration as end:
        yield end.value
    except Exception as error:
        strip_tracebacks(error)
        raise
    finally:
        drive.close()


async def run_async(drive: Waiting[Chunk], deadline: float | None, beside: bool = False) -> AsyncGenerator[Chunk, None]:
    """The same, waiting on the running event loop.

    beside: whether the first step takes long, such as reading a large conversation; it is made on a thread, then, and
            the loop serves others meanwhile
    """
    try:
        step = (await _first_beside(drive))() if beside else next(drive)
        while True:
            if isinstance(step, Show):
                yield Chunk(step.text, logprobs=step.logprobs, reasoning=step.reasoning)
                step = drive.send(None)
            else:
                step = _resume(drive, *(await _wait_async(step, deadline)))
    except StopIteration as end:
        yield end.value
    except Exception as error:
        strip_tracebacks(error)
        raise
    finally:
        drive.close()


def finish(work: Waiting[Result]) -> Result:
    """What a drive returns, with no deadline and nobody to show texts to."""
    try:
        step = next(work)
        while True:
            step = work.send(None) if isinstance(step, Show) else _resume(work, *_wait(step, None))
    except StopIteration as end:
        result: Result = end.value
        return result
    except Exception as error:
        strip_tracebacks(error)
        raise


async def finish_async(work: Waiting[Result], deadline: float | None = None, beside: bool = False) -> Result:
    """The same on the running event loop. Raises DeadlinePassed past the deadline; cancelled, the work is closed.

    beside: as for `run_async`
    """
    try:
        step = (await _first_beside(work))() if beside else next(work)
        while True:
            told = (None, None) if isinstance(step, Show) else await _wait_async(step, deadline)
            step = _resume(work, *told)
    except StopIteration as end:
        result: Result = end.value
        return result
    except Exception as error:
        strip_tracebacks(error)
        raise
    finally:
        work.close()


async def _first_beside(drive: Waiting[Any]) -> Callable[[], Wait | Show]:
    """The first step of a drive, made on a thread: a call that gives it, or raises what it raised.

    Cancelled, it waits for the thread, since a drive that runs cannot be closed.
    """

    def first() -> Callable[[], Wait | Show]:
        try:
            step = next(drive)
        except BaseException as error:  # no future holds a StopIteration
            raised = error
            return lambda: _raised(raised)
        return lambda: step

    making = asyncio.ensure_future(asyncio.to_thread(first))
    try:
        return await asyncio.shield(making)
    finally:
        while not making.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([making])


def _raised(error: BaseException) -> Wait | Show:
    raise error


def _resume(drive: Waiting[Any], value: Any, error: BaseException | None) -> Wait | Show:
    return drive.send(value) if error is None else drive.throw(error)


def _wait(step: Wait, deadline: float | None) -> Sent:
    until = _until(step)
    while (told := _told(step.future, deadline, until)) is None:
        concurrent.futures.wait([step.future], _seconds(deadline, until))
    return told


async def _wait_async(step: Wait, deadline: float | None) -> Sent:
    until = _until(step)
    await asyncio.sleep(0)  # others have a turn on this loop even where nothing is waited for
    while (told := _told(step.future, deadline, until)) is None:
        await _done_or_late(step.future, _seconds(deadline, until))
    return told


async def _done_or_late(future: Future[Any], seconds: float) -> None:
    """Return when the future is done, or when so many seconds are over; cancelled, cancel what was not begun."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    try:
        async with asyncio.timeout(seconds):
            await done.wait()
    except TimeoutError:
        return
    except asyncio.CancelledError:
        future.cancel()
        raise


def _told(future: Future[Any], deadline: float | None, until: float | None) -> Sent | None:
    """What a drive is told now; None as long as it has to wait. until: when the wait's own time is over."""
    moment = now()
    if deadline is not None and moment >= deadline:
        future.cancel()  # nobody will ask for it
        return None, DeadlinePassed()
    if future.done():
        return _outcome(future)
    return (None, OutOfTime()) if until is not None and moment >= until else None


def _outcome(future: Future[Any]) -> Sent:
    if future.cancelled():
        return None, _engine_error("it was cancelled")
    error = future.exception()
    if error is None:
        return future.result(), None
    if isinstance(error, GuardrailError):
        return None, error
    log_cause(error)
    return None, _engine_error(name_cause(error))


def _engine_error(what: str) -> EngineError:
    return EngineError(
        f"work that was waited for failed: {what}",
        where="engine",
        why="an engine's futures hold results, or errors of ours",
        fix="repair the engine",
    )


def _until(step: Wait) -> float | None:
    return None if step.seconds is None else now() + step.seconds


def _seconds(*ends: float | None) -> float:
    """Seconds to the first of some moments, no more than can be waited at a time."""
    moment = now()
    return max(0.0, min([LONGEST_WAIT_S, *(end - moment for end in ends if end is not None)]))


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for `future`, at most `seconds`; past that the runner throws OutOfTime into the generator."""

    future: Future[Any]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """Text that left the gate, and before it a part of the thought; see `Chunk`."""

    text: str
    reasoning: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None


Waiting: TypeAlias = Generator[Wait | Show, Any, Result]


class OutOfTime(Exception):
    """Thrown into a drive at a `Wait` whose own seconds are over, while the request's time is not up."""


class DeadlinePassed(BaseException):
    """Thrown into a drive at a `Wait` when the request's time is up; like a cancellation, no `except Exception`'s."""
