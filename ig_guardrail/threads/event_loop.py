"""An event loop on a thread of its own, for callers that are none and ask the network."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias, TypeVar

from ig_guardrail.threads.daemons import Daemon
from ig_guardrail.threads.locks import ForkSafeLock, Home

Result = TypeVar("Result")

_Started: TypeAlias = "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]"


class LoopThread:
    """Runs coroutines for callers that are none, while a resource is open; both end when this is collected.

    The thread begins with the first of them, and belongs to the process in which it began.
    """

    def __init__(self, name: str, resource: AbstractAsyncContextManager[Any]) -> None:
        self._name = name
        self._resource = resource
        self._turn = ForkSafeLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: Callable[[], object] = lambda: None
        self._home = Home()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, or its error. Blocks the calling thread, so it is not for a thread that runs a loop.

        Raises ForkedLoop in a process that was forked after the thread began.
        """
        return self.submit(work).result()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """The future of `work`, which cancelling it ends. Raises as `run` does."""
        try:
            loop = self._begun()
            return asyncio.run_coroutine_threadsafe(work, loop)
        except BaseException:
            work.close()
            raise

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called on the thread, if it has begun here and not ended."""
        if self._loop is not None and not self._home.left:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(function)

    def end(self) -> None:
        """End the thread and what it runs. Idempotent; what is submitted later is never run."""
        if not self._home.left:
            self._end()

    def _begun(self) -> asyncio.AbstractEventLoop:
        with self._turn:
            if self._loop is None:
                self._home = Home()
                started: _Started = Future()
                Daemon(f"ig-loop-{self._name}", _serve, (self._resource, started), lambda: _end(started))
                self._loop, _ = started.result()
                self._end = weakref.finalize(self, _end, started)
            if self._home.left:
                raise ForkedLoop
            return self._loop


class ForkedLoop(Exception):
    """The thread of an event loop, and its connections, belong to the process that this one was forked from."""


def _end(started: _Started) -> None:
    loop, over = started.result()
    with contextlib.suppress(RuntimeError):  # it has ended
        loop.call_soon_threadsafe(over.set)


def _serve(resource: AbstractAsyncContextManager[Any], started: _Started) -> None:
    asyncio.run(_keep_open(resource, started))


async def _keep_open(resource: AbstractAsyncContextManager[Any], started: _Started) -> None:
    over = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), over))
    async with resource:
        await over.wait()
