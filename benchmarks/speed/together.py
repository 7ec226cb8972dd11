"""Requests side by side: what eight streams cost together, and how a wide request makes the others wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from statistics import median, quantiles
from threading import Event

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from speed.stage import Stage, answer, unhindered
from speed.timing import in_turn, ratios, row, seconds

PART = "requests together"
LENGTHS = (40, 55, 70, 85, 100, 115, 130, 145)  # tokens of the prompts
TOKENS = 32
WIDTH = 32
WIDE_PROMPT, WIDE_TOKENS = 150, 1_000  # more than are drawn while the others answer


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Eight guarded streams at once, each read by a thread, against the same one after another."""
    rail = stage.rail(unhindered(stage.policy, hold=stage.policy.search.hold))
    wide = stage.rail(unhindered(stage.policy, mode="always", candidates=WIDTH))
    asked = [stage.asked(length, TOKENS) for length in LENGTHS]
    endless = stage.asked(WIDE_PROMPT, WIDE_TOKENS)
    runs: dict[str, Callable[[int], float]] = {
        "in a row": lambda _: seconds(lambda: [answer(rail, one) for one in asked]),
        "together": lambda _: seconds(lambda: waits(rail, asked)),
    }
    gain = ratios(*in_turn(runs, pairs, "streams together").values())
    title = f"shown tokens a CPU second, {len(asked)} guarded streams at once / one after another"
    few = asked[:-1]
    ways = {"beside": lambda _: beside_search(wide, endless, rail, few), "alone": lambda _: waits(rail, few)}
    beside = in_turn(ways, pairs, "beside a wide search")
    late = ratios(*([quantiles(one, n=100, method="inclusive")[98] for one in own] for own in beside.values()))
    usual = ratios(*([median(one) for one in own] for own in beside.values()))
    what = f"text of {len(few)} streams beside a search with {WIDTH} candidates / without"
    return [
        row(PART, "streams", title, gain, at_least=3.0),
        row(PART, "p99", f"99th percentile of the wait for {what}", late, at_most=2.0),
        row(PART, "median-wait", f"median of the wait for {what}", usual),
    ]


def waits(rail: Guardrail, asked: Sequence[GenerationRequest]) -> list[float]:
    """Wall seconds between two pieces of text of one stream, where every request is read by a thread of its own."""

    def read(one: GenerationRequest) -> list[float]:
        times: list[float] = []
        answer(rail, one, lambda chunk: times.append(time.perf_counter()))
        return [after - before for before, after in pairwise(times)]

    with ThreadPoolExecutor(len(asked)) as pool:
        return [wait for own in pool.map(read, asked) for wait in own]


def beside_search(
    wide: Guardrail, endless: GenerationRequest, rail: Guardrail, asked: Sequence[GenerationRequest]
) -> list[float]:
    """`waits` while another request, which has begun before, searches every block."""
    over, stream = Event(), wide.stream(endless)
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lambda: all(not over.is_set() for _ in stream))
        found = waits(rail, asked)
        over.set()
        if ended.result():
            raise GuardrailError("the wide request ended before the narrow ones", where="benchmark")
    return found
