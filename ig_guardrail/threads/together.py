"""Several works of one event loop, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

R = TypeVar("R")


async def together(works: Sequence[Coroutine[Any, Any, R]]) -> list[R]:
    """What they come to, in order. With the first error the others are cancelled, and it is raised when they ended."""
    tasks = [asyncio.ensure_future(one) for one in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
