"""Contexts of an engine, opened for whoever may leave before they are there; and texts, written already, read in them.

Such a text is read as if it had just been decoded, so that cost models score it as they score an answer. Where none of
them reads hidden states, its tokens are all there is to know of it, and the model need not read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from ig_guardrail.drive.runners import Wait, Waiting
from ig_guardrail.engine.base import Engine, TextSpeller
from ig_guardrail.errors import PromptTooLong
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


def read_text(engine: Engine, prompt: Prompt, text: str, layers: tuple[int, ...]) -> Waiting[Node]:
    """A given text where an answer to a prompt would stand, so that cost models read it as one; its caches are freed.

    layers: whose hidden states are read
    Raises PromptTooLong if the context is full.
    """
    (node,) = yield from read_texts(engine, prompt, (text,), layers, engine.info.context)
    if node.finish == "length":
        raise PromptTooLong(
            "what the assistant said does not fit the model's context",
            where="messages",
            why="what cannot be read cannot be charged",
            fix="leave out earlier turns",
        )
    return node


def read_texts(
    engine: Engine, prompt: Prompt, texts: Sequence[str], layers: tuple[int, ...], tokens: int
) -> Waiting[list[Node]]:
    """Each of some texts, at most `tokens` tokens of it, where an answer to a prompt would stand; caches are freed."""
    found: list[Node] = []
    if not layers and isinstance(engine, TextSpeller):
        for text in texts:
            found.append((yield Wait(engine.spelled(prompt, text, tokens))))
        return found
    root = yield from open_root(engine, prompt, Sampling(max_tokens=tokens), layers)
    try:
        for text in texts:
            found += yield Wait(engine.append([(root, text)]))
    finally:
        engine.close(root)
    return found


def read_answers(
    engine: Engine, prompt: Prompt, answers: Sequence[tuple[int, ...]], layers: tuple[int, ...]
) -> list[Node]:
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


def _close_late(engine: Engine, opening: Future[Node]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        engine.close(opening.result())
