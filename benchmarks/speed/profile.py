"""Where the CPU time of a shown token goes: clocks around the linear layers, the attention and the sampling.

What the engine's thread does besides is the rest; what other threads do is the search, the cost models and the gate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch.nn.functional as functional

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.run import STREAMING_BLOCK
from ig_guardrail.engine.compiled import product
from ig_guardrail.engine.decoding import by_torch
from ig_guardrail.engine.kv.shared import ForwardPlan
from ig_guardrail.engine.loading.packing import PackedLinear
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from speed.stage import BLOCK, Stage, answer, unhindered
from speed.timing import in_turn, row

TOKENS = 48
LENGTHS = (150, 1000)
LINEAR, ATTENTION, SAMPLING = "linear layers", "attention", "sampling"
REST, OUTSIDE = "the rest of the model and engine", "search, cost models and gate"
CLOCKED = (
    (product, "product", LINEAR),
    (PackedLinear, "_product", LINEAR),
    (functional, "linear", LINEAR),
    (ForwardPlan, "attend", ATTENTION),
    (ForwardPlan, "update", ATTENTION),
    (by_torch, "sample_tokens", SAMPLING),
)


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """CPU milliseconds a shown token after the first block, by part; of each kind of decoding and length of prompt."""
    kinds = {"none": stage.rail(stage.policy), "guarded": stage.rail(unhindered(stage.policy))}
    for width in (8, 32):
        kinds[f"search, {width} candidates"] = stage.rail(unhindered(stage.policy, mode="always", candidates=width))
    rows = []
    for length in LENGTHS:
        asked = stage.asked(length, TOKENS)
        runs = {
            kind: partial(spent, stage, rail, replace(asked, strategy="none") if kind == "none" else asked)
            for kind, rail in kinds.items()
        }
        for kind, found in in_turn(runs, pairs, f"prompt of {length}").items():
            of = f"{kind}, prompt of {length} tokens"
            rows += [row(of, f"{of}: {part}", part, [one[part] for one in found]) for part in found[0]]
    return rows


def spent(stage: Stage, rail: Guardrail, asked: GenerationRequest, _: int) -> dict[str, float]:
    """CPU milliseconds a token by part, after the first 16 tokens."""
    chunks_before = BLOCK // (STREAMING_BLOCK if asked.strategy == "none" else rail.policy.search.block)
    readings: list[dict[str, float]] = []
    with clocks() as read:
        answer(rail, asked, lambda chunk: readings.append(read()))
    first, last = readings[chunks_before - 1], readings[-1]
    return {part: 1000 * (last[part] - first[part]) / (asked.sampling.max_tokens - BLOCK) for part in last}


@contextmanager
def clocks() -> Iterator[Callable[[], dict[str, float]]]:
    """Clocks around what the one engine of this process does; they tell the CPU seconds of all parts."""
    (thread,) = [one for one in threading.enumerate() if one.name == "ig-engine"]
    assert thread.ident is not None
    clock, parts = time.pthread_getcpuclockid(thread.ident), dict.fromkeys((LINEAR, ATTENTION, SAMPLING), 0.0)

    def around(owner: Any, name: str, part: str) -> Any:
        call = getattr(owner, name)

        def clocked(*args: Any, **keys: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*args, **keys)
            finally:
                parts[part] += time.thread_time() - began

        return patch.object(owner, name, clocked)

    def read() -> dict[str, float]:
        engine = time.clock_gettime(clock)
        return {**parts, REST: engine - sum(parts.values()), OUTSIDE: time.process_time() - engine}

    with ExitStack() as stack:
        for owner, name, part in CLOCKED:
            stack.enter_context(around(owner, name, part))
        yield read
