"""How late the server's event loop is: what keeps it busy makes every stream wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TICK_S = 0.1


async def watch_lag(late: Callable[[float], None], tick: float = TICK_S) -> None:
    """Tell, again and again, how many seconds later than asked for the loop comes back. Never returns."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + tick
        await asyncio.sleep(tick)
        late(max(0.0, loop.time() - due))
