"""Responses that are given in the background: their caller may leave, and read them later.

The request that asked for one serves it to its end: slot, time and account are its own, though its reply is out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

Kept: TypeAlias = Mapping[str, Any]  # a response, or an event of it, as it is kept


@dataclass(eq=False, slots=True)
class BackgroundResponse:
    """A response that is being given.

    body       tells it as it stands
    events     that were told so far, as they were then; the number of each is its place
    cancelled  whether somebody wants no more of it
    over       whether nothing more is told
    """

    body: Callable[[], Kept]
    events: list[Kept] = field(default_factory=list)
    cancelled: bool = False
    over: bool = False
    _job: asyncio.Task[None] | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def ended(cls, body: Kept, events: Sequence[Kept]) -> BackgroundResponse:
        """One that was given before."""
        return cls(lambda: body, list(events), over=True)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin to give it."""
        self._job = asyncio.create_task(work)
        return self._job

    def tell(self, event: Kept) -> None:
        """Tell an event."""
        self.events.append(json.loads(json.dumps(event)))
        self._wake()

    def end(self) -> None:
        """Nothing more is told."""
        self.over = True
        self._wake()

    async def cancel(self) -> None:
        """Have it end, and wait until it has."""
        if self._job is not None and not self.cancelled:
            self._job.cancel()
        self.cancelled = True
        async for _ in self.follow(len(self.events)):
            pass

    async def follow(self, place: int) -> AsyncGenerator[Kept, None]:
        """The events from a place on, as they come."""
        while True:
            news = self._news
            while place < len(self.events):
                yield self.events[place]
                place += 1
            if self.over:
                return
            await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Underway:
    """Responses of this process that are being given in the background, by tenant and id."""

    def __init__(self) -> None:
        self._given: dict[tuple[str | None, str], BackgroundResponse] = {}

    def begin(self, tenant: str | None, name: str, given: BackgroundResponse) -> None:
        """Have it be found until it was given. Others of which nothing more is told are forgotten."""
        self._given = {place: one for place, one in self._given.items() if not one.over}
        self._given[tenant, name] = given

    def find(self, tenant: str | None, name: str) -> BackgroundResponse | None:
        """One that is still being given."""
        found = self._given.get((tenant, name))
        return None if found is None or found.over else found


class InBackground(Response):
    """A reply, behind which the response is given to its end, also where nobody reads the reply."""

    def __init__(self, reply: Response, given: BackgroundResponse, work: Coroutine[Any, Any, None]) -> None:
        super().__init__()
        self._reply, self._given, self._work = reply, given, work

    @property
    @override
    def headers(self) -> MutableHeaders:
        return self._reply.headers

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        job = self._given.start(self._work)
        try:
            with suppress(ClientDisconnect, OSError):
                await self._reply(scope, receive, send)
        except BaseException:
            job.cancel()
            raise
        finally:
            await job
