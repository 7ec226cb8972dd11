"""Who is served now, who waits, and who is sent away; and how all of it ends when the server is told to stop.

A slot is held from before a request's body is read until its answer is sent, or its caller is gone. Every way out of a
request frees its slot, since one `finally` does (`app.Gatekeeper`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.faults import Fault, Refused

Item = TypeVar("Item")

MINUTE = 60.0
STOPPING = Fault(503, "server_error", "server_stopping", "the server is stopping", None, retry_after=5)


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for its turn. most: of its key, served at a time"""

    key: str
    most: int
    turn: asyncio.Future[None]


class Admission:
    """The slots of a server; used on one event loop.

    at_once  requests that are served at a time, of all keys
    queue    requests that may wait beside them; of one key, no more than it may have served at a time
    wait     seconds that one waits at most
    """

    def __init__(self, at_once: int, queue: int, wait: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._queue, self._wait, self._clock = at_once, queue, wait, clock
        self._running: Counter[str] = Counter()
        self._waiting: deque[Waiter] = deque()
        self._allowances: dict[str, tuple[float, float]] = {}
        self._steps: set[asyncio.Timeout] = set()
        self.draining = self._over = False

    @property
    def running(self) -> int:
        """How many requests are served now."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    async def enter(self, caller: Caller) -> None:
        """Wait for a slot, which `leave` frees. Raises Refused where there is none in time, or the server stops."""
        if self.draining:
            raise Refused(STOPPING)
        self._count(caller)
        most = min(self._at_once, caller.at_once or self._at_once)
        waiter = Waiter(caller.key, most, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._hand_on()
        try:
            if not waiter.turn.done() and self._is_full(waiter):
                raise _busy(f"{most} requests of this key are served, and others wait", self._wait)
            async with asyncio.timeout(self._wait):
                await waiter.turn
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.leave(caller)  # its turn came at the same moment
            if isinstance(error, TimeoutError):
                raise _busy("no request ended while this one waited", self._wait) from None
            raise

    def leave(self, caller: Caller) -> None:
        """Free a slot; the next one that may be served has it."""
        self._running[caller.key] -= 1
        if not self._running[caller.key]:
            del self._running[caller.key]
        self._hand_on()

    def drain(self, seconds: float) -> None:
        """Serve nothing new; those that wait are sent away, and those that run end within so many seconds."""
        if self.draining:
            return
        self.draining = True
        while self._waiting:
            turn = self._waiting.popleft().turn
            if not turn.done():
                turn.set_exception(Refused(STOPPING))
        asyncio.get_running_loop().call_later(seconds, self._end)

    async def until_over(self, told: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
        """What an answer tells. Raises Refused in its midst when the time to drain is over; the answer is closed."""
        async with aclosing(told):
            while True:
                if self._over:
                    raise Refused(STOPPING)
                async with asyncio.timeout(None) as step:
                    self._steps.add(step)
                    try:
                        one = await anext(told, None)
                    except asyncio.CancelledError:
                        if step.expired():
                            raise Refused(STOPPING) from None
                        raise
                    finally:
                        self._steps.discard(step)
                if one is None:
                    return
                yield one

    def _end(self) -> None:
        self._over = True
        for step in self._steps:
            step.reschedule(asyncio.get_running_loop().time())

    def _hand_on(self) -> None:
        """Give free slots to those who waited longest, of keys that have not all of theirs."""
        for waiter in list(self._waiting):
            if self.running >= self._at_once:
                return
            if self._running[waiter.key] < waiter.most and not waiter.turn.done():
                self._waiting.remove(waiter)
                self._running[waiter.key] += 1
                waiter.turn.set_result(None)

    def _is_full(self, waiter: Waiter) -> bool:
        own = sum(other.key == waiter.key for other in self._waiting)
        return len(self._waiting) > self._queue or (bool(waiter.key) and own > waiter.most)

    def _count(self, caller: Caller) -> None:
        """Count a request against its key's requests per minute. Raises Refused where they are used up."""
        if caller.per_minute is None:
            return
        now, most, each = self._clock(), float(caller.per_minute), MINUTE / caller.per_minute
        left, before = self._allowances.get(caller.key, (most, now))
        left = min(most, left + (now - before) / each)
        if left < 1:
            self._allowances[caller.key] = (left, now)
            raise _busy(f"this key may ask {caller.per_minute} times in a minute", (1 - left) * each)
        self._allowances[caller.key] = (left - 1, now)


def _busy(why: str, seconds: float) -> Refused:
    retry = max(1, math.ceil(seconds))
    return Refused(Fault(429, "rate_limit_error", "rate_limit_exceeded", f"too many requests: {why}", None, retry))
