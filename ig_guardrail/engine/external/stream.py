"""An answer that another model writes, read no further than it is asked for.

`PulledReading` reads on the caller's thread, `AwaitedReading` in one task on the caller's event loop, so that the other
model's client stays where it was made for. Closing either closes the stream it reads from.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from contextlib import aclosing
from typing import Protocol

from ig_guardrail.engine.external.pieces import Cutter
from ig_guardrail.engine.futures import closed_error
from ig_guardrail.errors import GuardrailError, StreamFailed


class Calls(str):
    """A chunk of text that is calls. What comes before it is words, whatever they look like."""

    __slots__ = ()


class Heard:
    """What was read of an answer: its pieces so far, and whether there are no more.

    words: how many characters are words; None as long as no calls were heard, and all are
    """

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.ended = False
        self.words: int | None = None
        self._characters = 0
        self._cutter = Cutter()

    def hear(self, text: str) -> None:
        """Take a chunk of text."""
        if isinstance(text, Calls) and self.words is None:
            self.words = self._characters
        self._characters += len(text)
        self.pieces += self._cutter.read(text)

    def end(self) -> None:
        """Note that the text has ended."""
        self.pieces += self._cutter.end()
        self.ended = True

    def covers(self, count: int) -> bool:
        """Whether the first `count` pieces are there, or all that there are."""
        return self.ended or len(self.pieces) >= count


class AnswerReader(Protocol):
    """One answer."""

    @property
    def heard(self) -> Heard: ...

    def want(self, count: int) -> Future[None]:
        """Done once `heard` covers `count` pieces. StreamFailed in it if the stream broke, EngineClosed if closed."""
        ...

    def close(self) -> None:
        """Close the stream. Idempotent."""
        ...


class PulledReading:
    """See above. `want` reads before it returns."""

    def __init__(self, chunks: Generator[str, None, None]) -> None:
        self.heard = Heard()
        self._chunks = chunks
        self._failure: GuardrailError | None = None

    def want(self, count: int) -> Future[None]:
        future: Future[None] = Future()
        try:
            while self._failure is None and not self.heard.covers(count):
                self._pull()
        except Exception as error:
            self._failure = failure_of(error)
        if self._failure is None:
            future.set_result(None)
        else:
            future.set_exception(self._failure)
        return future

    def close(self) -> None:
        self._failure = self._failure or given_up()
        with contextlib.suppress(Exception):  # nobody waits for what a stream that was given up has to say
            self._chunks.close()

    def _pull(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            self.heard.end()
        else:
            self.heard.hear(chunk)


class AwaitedReading:
    """See above. Belongs to the event loop on which it is first asked for something."""

    def __init__(self, chunks: AsyncGenerator[str, None]) -> None:
        self.heard = Heard()
        self._chunks = chunks
        self._failure: GuardrailError | None = None
        self._asked: list[tuple[int, Future[None]]] = []
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def want(self, count: int) -> Future[None]:
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # who stops waiting closes the reading, and does not break it
        self._asked.append((count, future))
        self._answer()
        if self._asked and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._read())
        self._more.set()
        return future

    def close(self) -> None:
        self._failure = self._failure or given_up()
        if self._task is not None:
            self._task.cancel()

    async def closed(self) -> None:
        """Wait until the stream is closed, or read to its end."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _read(self) -> None:
        try:
            async with aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    self.heard.hear(chunk)
                    await self._until_wanted()
            self.heard.end()
        except Exception as error:
            self._failure = self._failure or failure_of(error)
        finally:
            if not self.heard.ended:
                self._failure = self._failure or given_up()
            self._answer()

    async def _until_wanted(self) -> None:
        self._answer()
        while not self._asked:
            self._more.clear()
            await self._more.wait()

    def _answer(self) -> None:
        """Settle what can be told now."""
        waiting, self._asked = self._asked, []
        for count, future in waiting:
            if self._failure is not None:
                future.set_exception(self._failure)
            elif self.heard.covers(count):
                future.set_result(None)
            else:
                self._asked.append((count, future))


def given_up() -> GuardrailError:
    """The error of work asked of a reading that was closed."""
    return closed_error("the answer was given up")


def failure_of(error: Exception) -> GuardrailError:
    """What broke a stream: errors of ours as they are, others as cause of a StreamFailed."""
    if isinstance(error, GuardrailError):
        return error
    failure = StreamFailed(
        f"the stream failed: {type(error).__name__}: {error}",
        where="stream",
        why="the rest of the answer was never told",
        fix="see the cause, which is what the model behind the stream raised",
    )
    failure.__cause__ = error
    return failure
