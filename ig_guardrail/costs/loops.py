"""An event loop on a thread of its own, for cost models that wait for the network."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias, TypeVar

Result = TypeVar("Result")
_Started: TypeAlias = "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]"


class LoopThread:
    """Runs coroutines for callers that are none, while a resource is open; both end when this is collected."""

    def __init__(self, name: str, resource: AbstractAsyncContextManager[Any]) -> None:
        started: _Started = Future()
        threading.Thread(target=_serve, args=(resource, started), name=f"ig-loop-{name}", daemon=True).start()
        self._loop, over = started.result()
        weakref.finalize(self, self._loop.call_soon_threadsafe, over.set)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, or its error. Blocks the calling thread, so it is not for a thread that runs a loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _serve(resource: AbstractAsyncContextManager[Any], started: _Started) -> None:
    asyncio.run(_keep_open(resource, started))


async def _keep_open(resource: AbstractAsyncContextManager[Any], started: _Started) -> None:
    over = asyncio.Event()
    started.set_result((asyncio.get_running_loop(), over))
    async with resource:
        await over.wait()
