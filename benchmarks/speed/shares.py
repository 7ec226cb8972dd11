"""Where the CPU time of a shown token goes: clocks around the linear layers, the attention and the sampling.

What the engine's thread does besides is the rest; what other threads do is the search, the cost models and the gate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.run import STREAMING_BLOCK
from ig_guardrail.engine.decoding import decode
from ig_guardrail.engine.kv.shared import ForwardPlan
from ig_guardrail.engine.loading.packing import PackedLinear
from ig_guardrail.guardrail import Guardrail
from speed.stage import BLOCK, Say, Stage, answer, story, unhindered
from speed.timing import in_turn

TOKENS = 48
LENGTHS = (150, 1000)
LINEAR, ATTENTION, SAMPLING, REST, OUTSIDE = (
    "linear layers",
    "attention",
    "sampling",
    "the rest of the model and engine",
    "search, cost models and gate",
)
PARTS = (LINEAR, ATTENTION, SAMPLING, REST, OUTSIDE)
CLOCKED = ((ForwardPlan, "attend", ATTENTION), (ForwardPlan, "update", ATTENTION), (decode, "choose", SAMPLING))


@dataclass(slots=True)
class Clocks:
    """CPU seconds of the engine's thread by part, of all of that thread, and of the process."""

    thread: int
    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys((LINEAR, ATTENTION, SAMPLING), 0.0))

    def read(self) -> dict[str, float]:
        """All parts, so far."""
        engine = time.clock_gettime(self.thread)
        outside = time.process_time() - engine
        return {**self.parts, REST: engine - sum(self.parts.values()), OUTSIDE: outside}

    def around(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        """The same call, its time added to a part."""

        @wraps(call)
        def clocked(*args: Any, **keys: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*args, **keys)
            finally:
                self.parts[part] += time.thread_time() - began

        return clocked


@contextmanager
def clocks(model: torch.nn.Module) -> Iterator[Clocks]:
    """Clocks around what the one engine of this process does with `model`, for the length of the block."""
    (thread,) = [one for one in threading.enumerate() if one.name == "ig-engine"]
    assert thread.ident is not None
    running = Clocks(time.pthread_getcpuclockid(thread.ident))
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, (torch.nn.Linear, PackedLinear)):
                stack.enter_context(patch.object(module, "forward", running.around(module.forward, LINEAR)))
        for owner, name, part in CLOCKED:
            stack.enter_context(patch.object(owner, name, running.around(getattr(owner, name), part)))
        yield running


def measure(stage: Stage, pairs: int, say: Say) -> list[Mapping[str, Any]]:
    """CPU milliseconds a shown token after the first block: kind of decoding, tokens of the prompt, and each part."""
    kinds: dict[str, tuple[Guardrail, str | None]] = {
        "none": (stage.rail(stage.policy), "none"),
        "guarded": (stage.rail(unhindered(stage.policy)), None),
        "search, 8 candidates": (stage.rail(unhindered(stage.policy, mode="always", candidates=8)), None),
        "search, 32 candidates": (stage.rail(unhindered(stage.policy, mode="always", candidates=32)), None),
    }
    found: list[Mapping[str, Any]] = []
    for length in LENGTHS:
        say(f"  prompt of {length} tokens")
        turns, sampling = story(stage.engine, length), stage.sampling(TOKENS)
        runs = {
            kind: partial(_spent, stage, rail, GenerationRequest(turns, sampling, way))
            for kind, (rail, way) in kinds.items()
        }
        for kind, spent in in_turn(runs, pairs, say).items():
            parts = {part: round(median(one[part] for one in spent), 4) for part in PARTS}
            found.append({"kind": kind, "prompt": length, "n": pairs, "ms": parts})
    return found


def _spent(stage: Stage, rail: Guardrail, ask: GenerationRequest, _: int) -> dict[str, float]:
    """CPU milliseconds a token by part, after the first 16 tokens."""
    chunks_before = BLOCK // (STREAMING_BLOCK if ask.strategy == "none" else rail.policy.search.block)
    readings: list[dict[str, float]] = []
    with clocks(stage.packed.model) as running:
        answer(rail, ask, lambda chunk: readings.append(running.read()))
    first, last = readings[chunks_before - 1], readings[-1]
    return {part: 1000 * (last[part] - first[part]) / (ask.sampling.max_tokens - BLOCK) for part in PARTS}
