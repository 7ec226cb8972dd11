"""Sixteen streams at once: how much faster than one after another, and how evenly their text comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles
from typing import Any

from speed.timing import in_turn, ratios, row

from ig_guardrail.evaluate import tables
from serving.callers import Read, Running

STREAMS = 16
TOKENS, GAPS_TOKENS = 32, 48  # of each stream, whose rate is measured; whose gaps are
UNGUARDED = {"ig_guardrail": {"strategy": "none"}}
BOUND_MS = 20


def measure_together(server: Running, pairs: int) -> list[tables.Row]:
    """Guarded streams at once against the same one after another, by the clock and by the server's CPU time."""
    runs = {
        "in a row": lambda _: asyncio.run(_costs(server, together=False)),
        "together": lambda _: asyncio.run(_costs(server, together=True)),
    }
    row_, together = in_turn(runs, pairs, "streams together").values()
    wall, cpu = (ratios([one[place] for one in row_], [one[place] for one in together]) for place in (0, 1))
    speed = [STREAMS * TOKENS / one[0] for one in together]
    part, what = "streams at once", f"{STREAMS} guarded streams at once / one after another"
    return [
        row(part, "together", f"released tokens a second, {what}", wall, at_least=2.5),
        row(part, "together-cpu", f"released tokens a CPU second of the server, {what}", cpu),
        row(part, "speed", f"released tokens a second, {STREAMS} guarded streams at once", speed),
    ]


def measure_gaps(server: Running, pairs: int) -> list[tables.Row]:
    """How evenly text comes, guarded and not, and how late the server's event loop is meanwhile."""
    runs = {
        "guarded": lambda _: asyncio.run(_gaps(server)),
        "unguarded": lambda _: asyncio.run(_gaps(server, **UNGUARDED)),
    }
    guarded, plain = in_turn(runs, pairs, "gaps").values()
    part, which = "how evenly text comes", f"{STREAMS} guarded / {STREAMS} unguarded streams"
    return [
        row(
            part,
            "p99",
            f"99th percentile of the gap between pieces, {which}",
            ratios([one["p99"] for one in guarded], [one["p99"] for one in plain]),
            at_most=1.5,
        ),
        row(
            part,
            "token",
            f"99th percentile, over streams, of the time for a token, {which}",
            ratios([one["token"] for one in guarded], [one["token"] for one in plain]),
            at_most=1.5,
        ),
        row(
            part,
            "gap",
            f"99th percentile of the gap, {STREAMS} guarded streams, ms",
            [1000 * one["p99"] for one in guarded],
        ),
        row(
            part,
            "pieces",
            f"tokens in a piece, {which}",
            ratios([one["piece"] for one in guarded], [one["piece"] for one in plain]),
        ),
        row(
            part,
            "lag",
            f"99th percentile of the event loop's lag meanwhile, {STREAMS} guarded streams, ms",
            [one["late"] for one in guarded],
            at_most=BOUND_MS,
        ),
    ]


async def _costs(server: Running, together: bool) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of the server."""
    asked, before, began = _all_asked(server, TOKENS), await server.held(), time.perf_counter()
    if together:
        await asyncio.gather(*map(server.read, asked))
    else:
        for one in asked:
            await server.read(one)
    wall = time.perf_counter() - began
    return wall, (await server.held())["cpu"] - before["cpu"]


async def _gaps(server: Running, **more: Any) -> dict[str, float]:
    await server.held()
    reads: Sequence[Read] = await asyncio.gather(*map(server.read, _all_asked(server, GAPS_TOKENS, **more)))
    gaps = [after - before for one in reads for before, after in pairwise(one.times)]
    late = (await server.held())["late_p99_ms"]
    return {
        "p99": _p99(gaps),
        "token": _p99([one.token_s for one in reads]),
        "piece": sum(one.tokens for one in reads) / sum(len(one.times) for one in reads),
        "late": late,
    }


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]


def _all_asked(server: Running, tokens: int, **more: Any) -> list[dict[str, Any]]:
    return [server.asked(1 + 2 * index, tokens, **more) for index in range(STREAMS)]
