"""Runs a drive for a caller: one text for sync and async, which differ only in how they wait.

The caller pulls; between pulls nothing runs. Closing the caller's generator, cancelling its task or passing the
deadline closes the drive, whose `finally` closes the engine's nodes, which stops decoding within one step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeVar

from ig_guardrail.drive.waiting import DeadlinePassed, Show, Wait, Waiting
from ig_guardrail.types import Chunk

Result = TypeVar("Result")


def run(drive: Waiting[Chunk], deadline: float | None) -> Generator[Chunk, None, None]:
    """Chunks of a drive; the last, which it returns, carries the receipt.

    deadline: `time.monotonic()` seconds, or None.
    """
    try:
        step = next(drive)
        while True:
            if isinstance(step, Show):
                yield Chunk(step.text)
                step = drive.send(None)
            else:
                step = _resume(drive, *_wait(step, deadline))
    except StopIteration as end:
        yield end.value
    finally:
        drive.close()


async def run_async(drive: Waiting[Chunk], deadline: float | None) -> AsyncGenerator[Chunk, None]:
    """The same, waiting on the running event loop."""
    try:
        step = next(drive)
        while True:
            if isinstance(step, Show):
                yield Chunk(step.text)
                step = drive.send(None)
            else:
                step = _resume(drive, *(await _wait_async(step, deadline)))
    except StopIteration as end:
        yield end.value
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


def _resume(drive: Waiting[Any], value: Any, error: BaseException | None) -> Wait | Show:
    return drive.send(value) if error is None else drive.throw(error)


def _wait(step: Wait, deadline: float | None) -> tuple[Any, BaseException | None]:
    limit, late = _limit(step, deadline)
    try:
        return step.future.result(limit), None
    except TimeoutError as error:
        return None, error if step.future.done() else late
    except Exception as error:
        return None, error


async def _wait_async(step: Wait, deadline: float | None) -> tuple[Any, BaseException | None]:
    limit, late = _limit(step, deadline)
    wrapped = asyncio.wrap_future(step.future)
    try:
        async with asyncio.timeout(limit):
            return await wrapped, None
    except TimeoutError as error:
        return None, error if step.future.done() and not step.future.cancelled() else late
    except Exception as error:
        return None, error


def _limit(step: Wait, deadline: float | None) -> tuple[float | None, BaseException]:
    """Seconds to wait, and what it means if they pass: the step's own limit, or the request's."""
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    if left is None or (step.seconds is not None and step.seconds <= left):
        return step.seconds, TimeoutError()
    return left, DeadlinePassed()
