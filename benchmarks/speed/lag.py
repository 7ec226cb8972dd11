"""How long the event loop is kept waiting while it serves several guarded streams."""

from __future__ import annotations

import asyncio
import time
from statistics import quantiles

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from speed.stage import Say, Stage, story
from speed.timing import row

PART = "event loop"
STREAMS = 8
TOKENS = 48
TICK_S = 0.001
BOUND_MS = 20


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """The 99th percentile of how late a timer of a millisecond is, in each of `pairs` runs."""
    rail = stage.rail(stage.policy)
    late = [asyncio.run(_lag(rail, stage)) for _ in range(pairs)]
    title = f"99th percentile of the loop's lag with {STREAMS} guarded streams, ms"
    return [row(PART, "lag", title, late, at_most=BOUND_MS)]


async def _lag(rail: Guardrail, stage: Stage) -> float:
    asks = [GenerationRequest(story(stage.engine, 40 + 15 * i), stage.sampling(TOKENS)) for i in range(STREAMS)]
    watch = asyncio.create_task(_late())
    await asyncio.gather(*(_read(rail, ask) for ask in asks))
    watch.cancel()
    return quantiles(await watch, n=100)[98]


async def _read(rail: Guardrail, ask: GenerationRequest) -> None:
    async for _ in rail.astream(ask):
        pass


async def _late() -> list[float]:
    """Milliseconds by which each tick comes late, until cancelled."""
    found: list[float] = []
    try:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            found.append(1000 * (time.perf_counter() - due))
    except asyncio.CancelledError:
        return found
