"""Requests that are cancelled in the middle of a step: what is left behind."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.decoding.passes import Pass
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Message, Sampling
from speed.risk import MODES, Mode, ScriptedRisk, scripted_rail
from speed.stage import Say, Stage
from speed.timing import count_row
from speed.tiny import LAYERS, tiny_weights
from speed.watched import watched_engine

PART = "cancelled requests"
TIMES = 1000
FIRST = 20  # are not counted: they make what stays for good
TOKENS = 48
SEED = 7
TURNS = (Message("user", "Hello."),)


@dataclass(slots=True)
class Cancel:
    """Cancels a task from within the engine's step number `steps`, counted down."""

    steps: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    task: asyncio.Task[None] | None = None

    def on_step(self, _: Sequence[Pass[Any]]) -> None:
        self.steps -= 1
        if self.steps == 0 and self.loop is not None and self.task is not None:
            self.loop.call_soon_threadsafe(self.task.cancel)


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """Narrow and wide requests in turn, each cancelled at a random step of its answer, on a tiny random model."""
    cancel, weights, chance = Cancel(), tiny_weights(), random.Random(SEED)
    engine = watched_engine(weights, cancel.on_step)
    rails = [_rail(engine, stage, mode) for mode in MODES]
    cancelled, before = 0, 0
    for number in range(FIRST + TIMES):
        if number == FIRST:
            before = _tensors(engine)
        cancelled += asyncio.run(_cancelled(rails[number % 2], cancel, chance.randint(1, TOKENS)))
    tensors = max(0, _tensors(engine) - before)
    nodes, hooks = engine.live_nodes(), sum(len(module._forward_hooks) for module in weights.model.modules())
    say(f"  {cancelled} of {FIRST + TIMES} were cancelled before they ended")
    engine.shutdown()
    return [
        count_row(PART, "left-nodes", "nodes that are still held (count)", nodes, TIMES),
        count_row(PART, "left-hooks", "hooks that are still set (count)", hooks, TIMES),
        count_row(PART, "left-tensors", "tensors that are still there (count)", tensors, TIMES),
    ]


def _rail(engine: TransformersEngine, stage: Stage, mode: Mode) -> Guardrail:
    search = replace(stage.policy.search, mode=mode, candidates=4)
    return scripted_rail(engine, replace(stage.policy, search=search), ScriptedRisk(frozenset(), (LAYERS,)))


async def _cancelled(rail: Guardrail, cancel: Cancel, steps: int) -> bool:
    """Ask, and cancel within the given step; whether that came before the answer's end."""
    cancel.loop = asyncio.get_running_loop()
    cancel.task = asyncio.ensure_future(_read(rail))
    cancel.steps = steps
    try:
        await cancel.task
    except asyncio.CancelledError:
        return True
    finally:
        cancel.task = None
    return False


async def _read(rail: Guardrail) -> None:
    async for _ in rail.astream(GenerationRequest(TURNS, Sampling(temperature=1.0, max_tokens=TOKENS))):
        pass


def _tensors(engine: TransformersEngine) -> int:
    """Tensors of the process when the engine is idle."""
    root = engine.open(engine.encode(TURNS), Sampling(max_tokens=1)).result()
    engine.close(root)
    del root
    gc.collect()
    return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
