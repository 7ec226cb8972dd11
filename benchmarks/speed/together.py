"""Requests side by side: what eight streams cost together, and what a wide request does to the others' steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from threading import Event
from typing import Any

import numpy as np

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.decoding.passes import Pass
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Receipt
from speed.stage import Say, Stage, answer, story, unhindered
from speed.timing import in_turn, ratios, row, seconds
from speed.watched import watched_engine

PART = "requests together"
LENGTHS = (40, 55, 70, 85, 100, 115, 130, 145)  # tokens of the prompts
TOKENS = 32
WIDTH = 32
WIDE_PROMPT = 150


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """Eight guarded streams at once, each read by a thread, against the same one after another."""
    rail = stage.rail(unhindered(stage.policy, hold=stage.policy.search.hold))
    asks = [GenerationRequest(story(stage.engine, length), stage.sampling(TOKENS)) for length in LENGTHS]
    runs: dict[str, Callable[[int], float]] = {
        "together": lambda _: seconds(lambda: at_once(rail, asks)),
        "in a row": lambda _: seconds(lambda: [answer(rail, ask) for ask in asks]),
    }
    taken = in_turn(runs, pairs, say)
    gain = ratios(taken["in a row"], taken["together"])
    title = f"shown tokens a CPU second, {len(asks)} guarded streams at once / one after another"
    return [row(PART, "streams", title, gain, at_least=3.0), *_beside_a_wide_one(stage, pairs, say)]


def at_once(rail: Guardrail, asks: Sequence[GenerationRequest]) -> list[Receipt]:
    """Every request on a thread of its own; the receipts when all have ended."""
    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(lambda ask: answer(rail, ask), asks))


@dataclass(slots=True)
class Diary:
    """When which requests were served: after each step, its end in seconds and the requests that read one token alone.

    `wide` is set by every step that serves many rows of one request.
    """

    steps: list[tuple[float, frozenset[int], bool]] = field(default_factory=list)
    wide: Event = field(default_factory=Event)

    def on_step(self, passes: Sequence[Pass[Any]]) -> None:
        narrow = frozenset(one.account.first_root for one in passes if one.rows.count == 1 and not one.is_block)
        self.steps.append((time.perf_counter(), narrow, any(one.is_block for one in passes)))
        if any(one.rows.count == WIDTH for one in passes):
            self.wide.set()

    def begin(self) -> None:
        """Forget what was."""
        self.steps = []
        self.wide.clear()

    def waits(self) -> list[float]:
        """Seconds between tokens of each narrow request, except where a prompt was read meanwhile."""
        last: dict[int, float] = {}
        found = []
        for ended, narrow, prompt in self.steps:
            if prompt:
                last.clear()
            found += [ended - last[request] for request in narrow if request in last]
            last.update(dict.fromkeys(narrow, ended))
        return found


def _beside_a_wide_one(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """Seven narrow streams, alone and beside one request that searches every block."""
    diary = Diary()
    engine = watched_engine(stage.packed, diary.on_step)
    narrow = stage.rail(unhindered(stage.policy, hold=stage.policy.search.hold), engine)
    wide = stage.rail(unhindered(stage.policy, mode="always", candidates=WIDTH), engine)
    asks = [GenerationRequest(story(engine, length), stage.sampling(TOKENS)) for length in LENGTHS[:-1]]

    def alone(_: int) -> list[float]:
        diary.begin()
        at_once(narrow, asks)
        return diary.waits()

    def beside(_: int) -> list[float]:
        diary.begin()
        with ThreadPoolExecutor(1) as pool:
            over = Event()
            endless = pool.submit(
                _until, over, wide, GenerationRequest(story(engine, WIDE_PROMPT), stage.sampling(16 * TOKENS))
            )
            _wait(diary.wide, endless)
            at_once(narrow, asks)
            if endless.done():
                raise GuardrailError("the wide request ended before the narrow ones", where="benchmark")
            over.set()
        return diary.waits()

    waits = in_turn({"alone": alone, "beside": beside}, pairs, say)
    engine.shutdown()
    late = ratios(_p99(waits["beside"]), _p99(waits["alone"]))
    usual = ratios([median(one) for one in waits["beside"]], [median(one) for one in waits["alone"]])
    what = f"a token of {len(asks)} streams beside a search with {WIDTH} candidates / without"
    return [
        row(PART, "p99", f"99th percentile of the wait for {what}", late, at_most=2.0),
        row(PART, "median-wait", f"median of the wait for {what}", usual),
    ]


def _until(over: Event, rail: Guardrail, ask: GenerationRequest) -> None:
    """Read a stream until `over`, then leave it, which ends its decoding."""
    for _ in rail.stream(ask):
        if over.is_set():
            return


def _wait(event: Event, work: Future[None]) -> None:
    """Wait for the event, or raise what the work raised before it."""
    while not event.wait(1):
        if work.done():
            work.result()
            return


def _p99(rounds: Iterable[Sequence[float]]) -> list[float]:
    return [float(np.percentile(waits, 99)) for waits in rounds]
