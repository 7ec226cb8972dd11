"""The line of a caller who waits for his turn: what he sends meanwhile is kept, and it is seen when he leaves."""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import Message, Receive

AHEAD = 1_000_000  # bytes of a body that are read while its caller waits; behind them nobody looks whether he is there


class Line:
    """Stands in the place of a request's `receive`, from before its first message was read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()

    async def receive(self) -> Message:
        """The next message, of those that were kept first."""
        return self._kept.popleft() if self._kept else await self._receive()

    async def left(self) -> None:
        """Returns when the caller is gone. May be cancelled; no message is lost."""
        read = 0
        while read <= AHEAD:
            message = await self._receive()
            self._kept.append(message)
            if message["type"] == "http.disconnect":
                return
            read += len(message.get("body", b""))
        await asyncio.Event().wait()
