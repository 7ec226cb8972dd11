"""Reads finished answers anew, as if they had just been written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ig_guardrail.engine.base import Engine
from ig_guardrail.types import Node, Prompt, Sampling


def reread(engine: Engine, prompt: Prompt, answers: Sequence[tuple[int, ...]], layers: tuple[int, ...]) -> list[Node]:
    """Each answer's tokens after the prompt, in order, with hidden states of the layers; caches are freed.

    Waits for the engine. Raises RequestError if prompt and answer do not fit the context.
    """
    longest = max(map(len, answers), default=0)
    root = engine.open(prompt, Sampling(temperature=0, max_tokens=longest + 1), layers).result()
    try:
        items: list[Any] = [(root, ids) for ids in answers]
        return engine.append(items).result()
    finally:
        engine.close(root)
