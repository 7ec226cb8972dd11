"""An event loop on a thread of its own, for cost models that wait for the network."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias, TypeVar

from ig_guardrail.threads import Daemon, Home, Turn

Result = TypeVar("Result")
_Started: TypeAlias = "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]"


class LoopThread:
    """Runs coroutines for callers that are none, while a resource is open; both end when this is collected.

    The thread begins with the first of them, and belongs to the process in which it began.
    """

    def __init__(self, name: str, resource: AbstractAsyncContextManager[Any]) -> None:
        self._name = name
        self._resource = resource
        self._turn = Turn()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._home = Home()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, or its error. Blocks the calling thread, so it is not for a thread that runs a loop.

        Raises ForkedLoop in a process that was forked after the thread began.
        """
        try:
            loop = self._begun()
        except BaseException:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def _begun(self) -> asyncio.AbstractEventLoop:
        with self._turn:
            if self._loop is None:
                self._home = Home()
                started: _Started = Future()
                Daemon(f"ig-loop-{self._name}", _serve, (self._resource, started), lambda: _end(started))
                self._loop, _ = started.result()
                weakref.finalize(self, _end, started)
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
