"""Opens a context of an engine for whoever may leave before it is there."""

from __future__ import annotations

from concurrent.futures import Future

from ig_guardrail.drive.runners import Wait, Waiting
from ig_guardrail.engine.base import Engine
from ig_guardrail.types import Node, Prompt, Sampling


def open_root(engine: Engine, prompt: Prompt, sampling: Sampling, layers: tuple[int, ...]) -> Waiting[Node]:
    """The root of a context, to be closed by whoever asked; by nobody but this where they leave before it is there."""
    opening = engine.open(prompt, sampling, layers)
    try:
        root: Node = yield Wait(opening)
    except BaseException:
        opening.cancel()
        opening.add_done_callback(lambda done: _close_late(engine, done))
        raise
    return root


def _close_late(engine: Engine, opening: Future[Node]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        engine.close(opening.result())
