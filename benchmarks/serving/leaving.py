"""What is left in the server: by many short requests, by callers who leave, and by one who never reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import linear_regression

from rich.console import Console
from rich.progress import track
from speed.timing import row

from ig_guardrail.evaluate import tables
from serving.callers import Running, is_text

REQUESTS, AT_ONCE, EVERY = 2_000, 8, 100
SHORT = 4  # tokens of each
WARM = 5  # samples before the memory is looked at: caches fill
LEAVERS = 300
UNREAD = 32_000  # tokens that nobody reads
QUIET_S = 2.0  # without a byte, after which a stream stands still


def measure_soak(server: Running, _: int) -> list[tables.Row]:
    """Short requests, and the memory of the server meanwhile."""
    rss = asyncio.run(_soaked(server))
    slope = linear_regression(range(0, EVERY * len(rss[WARM:]), EVERY), rss[WARM:]).slope
    part = f"{REQUESTS} short requests, {AT_ONCE} at a time"
    return [
        tables.row(part, "slope", "memory (RSS) gained by a request, bytes", round(slope), None, len(rss) - WARM),
        tables.row(part, "rss", "memory at the end, MiB", round(rss[-1] / 2**20), None, 1),
    ]


def measure_unread(server: Running, _: int) -> list[tables.Row]:
    """A caller who never reads: what the server has written for him, the kernel's buffers included, and kept since."""
    sent = asyncio.run(_unread(server))
    part = "a caller who never reads"
    return [row(part, "sent", f"bytes that wait for him, of {UNREAD} tokens", [float(sent)], at_most=2**20)]


def measure_disconnects(server: Running, _: int) -> list[tables.Row]:
    """Callers who leave after the first piece of text."""
    before, after = asyncio.run(_left(server))
    part = f"{LEAVERS} callers who left in mid-stream"
    left = {"nodes of the engine": after["nodes"], "tasks more than before": after["tasks"] - before["tasks"]}
    return [
        tables.row(part, name, f"{name}, when all had left", count, None, LEAVERS, "<= 0", count <= 0)
        for name, count in left.items()
    ]


async def _soaked(server: Running) -> Sequence[int]:
    found = [(await server.held())["rss"]]
    for start in track(range(0, REQUESTS, EVERY), "short requests", console=Console(stderr=True)):
        waiting = iter([server.asked((start + index) % 40, SHORT) for index in range(EVERY)])

        async def ask(own=waiting) -> None:
            for one in own:
                await server.read(one)

        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
        found.append((await server.held())["rss"])
    return found


async def _unread(server: Running) -> int:
    before = (await server.held())["sent"]
    with server.unread(server.asked(1, UNREAD, "endless")):
        sent = -1
        while (now := (await server.held())["sent"]) != sent:
            sent = now
            await asyncio.sleep(QUIET_S)
    return sent - before


async def _left(server: Running) -> tuple[dict[str, int], dict[str, int]]:
    before = await _settled(server)
    for start in track(range(0, LEAVERS, AT_ONCE), "callers who leave", console=Console(stderr=True)):
        await asyncio.gather(*(_leave(server, index) for index in range(start, min(start + AT_ONCE, LEAVERS))))
    return before, await _settled(server)


async def _settled(server: Running) -> dict[str, int]:
    """What the server holds when that no longer changes."""
    found = await server.held()
    while True:
        await asyncio.sleep(QUIET_S)
        before, found = found, await server.held()
        if all(found[name] == before[name] for name in ("nodes", "tasks")):
            return found


async def _leave(server: Running, index: int) -> None:
    async with server.streaming(server.asked(index % 40, 256)) as (reader, _):
        async for line in reader:
            if is_text(line):
                return
