"""Caching that is watched: what the engine reads in each step, told after the step, on the engine's own thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.kv.shared import Sharing
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.transformers import TransformersEngine

OnStep: TypeAlias = Callable[[Sequence[Pass[Any]]], None]


class Watched(Sharing):
    """`Sharing` that calls `on_step` with the passes of every step, after they were read."""

    def __init__(self, model: Model, on_step: OnStep) -> None:
        super().__init__(model)
        self._on_step = on_step

    def read(self, passes: Sequence[Pass[Any]]) -> list[PassResult]:
        readings = super().read(passes)
        self._on_step(passes)
        return readings


def watched_engine(weights: Weights, on_step: OnStep) -> TransformersEngine:
    """An engine of its own over the same weights. Only one engine of them may work at a time."""
    return TransformersEngine(weights, lambda model: Watched(model, on_step))
