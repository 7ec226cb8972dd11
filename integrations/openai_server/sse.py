"""Server-sent events: frames, and comments while a text is held, so that no proxy takes the silence for an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from ig_guardrail.integrations.openai_server.faults import Fault

HELD = b": held\n\n"  # a comment, which clients pass over
DONE = b"data: [DONE]\n\n"
UNHELD = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # headers: each event is passed on as it comes
_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}  # of a line, to clients that know Unicode's


def frame(data: Mapping[str, Any], event: str | None = None) -> bytes:
    """One event; its data is one line, however a client tells lines apart. event: its name, on wires that name them"""
    named, line = f"event: {event}\n" if event else "", json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for end, written in _ENDS.items():
        line = line.replace(end, written)
    return f"{named}data: {line}\n\n".encode()


def told_fault(fault: Fault) -> bytes:
    """A fault in mid-stream, as OpenAI's clients know it, and the end of the stream."""
    return frame(fault.body) + DONE


async def with_comments(
    frames: AsyncGenerator[bytes, None], quiet: float, held: Callable[[], bytes] = lambda: HELD
) -> AsyncGenerator[bytes, None]:
    """The frames, and a comment each time nothing came for `quiet` seconds. Closes the frames in the end.

    held: what is sent in place of the comment, on wires that have an event for it
    """
    waiting: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(frames, None))
            done, _ = await asyncio.wait({waiting}, timeout=quiet)
            if not done:
                yield held()
                continue
            found, waiting = waiting.result(), None
            if found is None:
                return
            yield found
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await frames.aclose()
