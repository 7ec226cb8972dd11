"""How late things come: the first text of a guarded answer, and an event loop's timer beside guarded streams."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from statistics import quantiles

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from speed.calm import calm_requests
from speed.stage import Stage
from speed.timing import in_turn, ratios, row

TEXT = "time to the first text"
LOOP = "event loop"
STREAMS = 8
TOKENS = 48
TICK_S = 0.001
BOUND_MS = 20


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Wall time to the first text of calm answers, and how late a timer of a millisecond is in each of `pairs` runs."""
    rail = stage.rail(stage.policy)
    calm = calm_requests(rail, pairs)
    runs = {
        "guarded": lambda number: first_text(rail, calm[number]),
        "none": lambda number: first_text(rail, replace(calm[number], strategy="none")),
    }
    first = ratios(*in_turn(runs, pairs, "first texts").values())
    late = in_turn({"loop": lambda _: asyncio.run(lag(rail, stage))}, pairs, "event loop")["loop"]
    return [
        row(TEXT, "first-text", "guarded with nothing at risk / strategy none", first),
        row(LOOP, "lag", f"99th percentile of the lag with {STREAMS} guarded streams, ms", late, at_most=BOUND_MS),
    ]


def first_text(rail: Guardrail, asked: GenerationRequest) -> float:
    """Wall seconds."""
    began = time.perf_counter()
    taken = [time.perf_counter() - began for chunk in rail.stream(asked) if chunk.text]
    return taken[0]


async def lag(rail: Guardrail, stage: Stage) -> float:
    """99th percentile of how late a tick comes, ms."""
    streams = [asyncio.create_task(_read(rail, stage.asked(40 + 15 * i, TOKENS))) for i in range(STREAMS)]
    late: list[float] = []
    while not all(one.done() for one in streams):
        due = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(1000 * (time.perf_counter() - due))
    await asyncio.gather(*streams)
    return quantiles(late, n=100)[98]


async def _read(rail: Guardrail, asked: GenerationRequest) -> None:
    async for _ in rail.astream(asked):
        pass
