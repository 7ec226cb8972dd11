"""Leaving an answer, at any step and in any way: the engine makes at most one more step, and holds nothing then.

A step is a forward of a real, tiny model, or one token of a script. A meter counts the steps and holds the engine
inside one of them, so that the caller leaves at exactly that moment.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.types import SearchSettings
from tests.examples import examples
from tests.toys import LetterCost, Letters, letters, toy_budget, toy_policy

PATIENCE_S = 30.0  # after which a test that hangs goes on, to fail


class Meter:
    """Counts an engine's steps, and holds it inside step number `at` until `go` is set."""

    def __init__(self) -> None:
        self.steps, self.at = 0, 0
        self.reached, self.go = threading.Event(), threading.Event()

    def arm(self, at: int) -> None:
        self.steps, self.at = 0, at
        self.reached.clear()
        self.go.clear()

    def step(self, *_: Any) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.reached.set()
            self.go.wait(PATIENCE_S)


@dataclass(frozen=True)
class Metered:
    """A script whose tokens are counted."""

    inner: Letters
    meter: Meter

    @property
    def vocabulary(self) -> Any:
        return self.inner.vocabulary

    def next_tokens(self, place: TokenPlace) -> Distribution:
        self.meter.step()
        return self.inner.next_tokens(place)


@cache
def bench(name: str) -> tuple[Any, Meter]:
    """An engine on a thread of its own, and the meter on it; made once."""
    meter = Meter()
    if name == "scripted":
        gates = {("never", 1): threading.Event()}
        return ScriptedEngine(Metered(letters((3, 1, 1, 0)), meter), incidents=Incidents(gates=gates)), meter
    from ig_guardrail.engine.transformers import TransformersEngine
    from tests.conformance.engine.tiny import tiny_weights

    weights = tiny_weights(architecture=name)
    engine = TransformersEngine(weights)
    weights.model.register_forward_pre_hook(meter.step)
    return engine, meter


def chat(engine: Engine, search: SearchSettings, seed: int) -> ChatIGGuardrail:
    rail = Guardrail(engine, toy_policy([toy_budget("b", threshold=0.5)], search), {"level": LetterCost("level")})
    rail._approved.set()  # its messages are no letters; the start-up check has its own tests
    return ChatIGGuardrail(guardrail=rail, seed=seed, temperature=1.0, top_p=1.0, max_tokens=40)


# ---------------------------------------------------------------------------------------------------- ways of leaving


def closed(model: ChatIGGuardrail, meter: Meter) -> int:
    """A stream is closed between two chunks."""
    meter.go.set()
    with closing(model.stream("hello")) as chunks:  # type: ignore[type-var]
        for _ in zip(range(meter.at // 8), chunks, strict=False):
            pass
    return meter.steps


def timed_out(model: ChatIGGuardrail, meter: Meter) -> int:
    """The deadline passes while the engine is inside a step."""
    model.invoke("hello", timeout=0.02)
    return meter.steps


def aclosed(model: ChatIGGuardrail, meter: Meter) -> int:
    """An async stream is closed between two chunks."""
    meter.go.set()

    async def leave() -> int:
        async with aclosing(model.astream("hello")) as chunks:  # type: ignore[type-var]
            for _ in range(meter.at // 8):
                if await anext(chunks, None) is None:
                    break
        return meter.steps

    return asyncio.run(leave())


def cancelled(ask: Callable[[ChatIGGuardrail], Any]) -> Callable[[ChatIGGuardrail, Meter], int]:
    """A task is cancelled while the engine is inside a step."""

    async def leave(model: ChatIGGuardrail, meter: Meter) -> int:
        task = asyncio.ensure_future(ask(model))
        task.add_done_callback(lambda _: meter.reached.set())
        await asyncio.to_thread(meter.reached.wait, PATIENCE_S)
        task.cancel()
        await asyncio.wait([task])
        return meter.steps

    return lambda model, meter: asyncio.run(leave(model, meter))


async def read(model: ChatIGGuardrail) -> list[Any]:
    return [chunk async for chunk in model.astream("hello")]


WAYS = {
    "close": closed,
    "timeout": timed_out,
    "aclose": aclosed,
    "cancelled stream": cancelled(read),
    "cancelled invoke": cancelled(lambda model: model.ainvoke("hello")),
}


# -------------------------------------------------------------------------------------------------------- the property


@pytest.mark.parametrize("name", ["scripted", "llama", "gemma3"])
@given(
    way=st.sampled_from(sorted(WAYS)),
    step=st.integers(1, 60),
    mode=st.sampled_from(["on_risk", "always"]),
    candidates=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
@example(way="timeout", step=1, mode="on_risk", candidates=1, seed=0)
@example(way="cancelled invoke", step=1, mode="always", candidates=3, seed=0)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whoever_leaves_at_whatever_step_stops_the_engine_within_one(
    name: str, way: str, step: int, mode: Any, candidates: int, seed: int
) -> None:
    engine, meter = bench(name)
    search = SearchSettings(mode=mode, candidates=candidates, block=6, hold=6, shortest=0, steer=None, restart=None)
    meter.arm(step)
    try:
        before = WAYS[way](chat(engine, search, seed), meter)
    finally:
        meter.go.set()
    engine._loop.submit(int).result(PATIENCE_S)  # whatever was begun has ended
    assert meter.steps <= before + 1
    assert engine.live_nodes() == 0


def test_the_meter_does_hold_the_engine_inside_a_step() -> None:
    """Without this the property could hold because nothing was ever left in time."""
    for name in ("scripted", "llama"):
        engine, meter = bench(name)
        meter.arm(5)
        search = SearchSettings(block=6, hold=6, shortest=0, steer=None, restart=None)
        assert WAYS["cancelled invoke"](chat(engine, search, seed=1), meter) == 5
        meter.go.set()
        engine._loop.submit(int).result(PATIENCE_S)
        assert meter.steps <= 6
