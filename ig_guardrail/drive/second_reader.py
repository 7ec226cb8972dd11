"""A second model that reads an answer beside the one that decodes it: its contexts of one request.

It proposes and weighs, as a twin context does, and decides nothing: what is committed is a node of the model that
decodes. Two models share no tokens, so what passes from one to the other is text.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import StrategyError
from ig_guardrail.text.counterfactual import edit_messages
from ig_guardrail.types import Edit, Node, Prompt, Sampling


class SecondReader:
    """Opens contexts in a second engine for one request, and closes all of them with it."""

    def __init__(self, engine: Engine, prompt: Prompt, sampling: Sampling) -> None:
        self.engine = engine
        self._prompt, self._sampling = prompt, sampling
        self._roots: dict[int, Node] = {}
        self._closed = False

    def open(self, edit: Edit) -> Future[Node]:
        """The root of a context for the conversation, edited; answers are read in it to any end.

        Raises RequestError where the model cannot be told of the conversation.
        """
        prompt = self.engine.encode(edit_messages(self._prompt.turns, edit))
        # no stop string, limit or bias of the other model's tokens ends or bends what is read here
        form = None if edit.swap else self._sampling.grammar
        room = self.engine.info.context
        sampling = replace(self._sampling, stop=(), logit_bias=(), grammar=form, max_tokens=room)
        opening = self.engine.open(replace(prompt, cache_salt=self._prompt.cache_salt), sampling)
        opening.add_done_callback(self._note)
        return opening

    def opened(self, root: Node) -> None:
        """Know the root of a context that was opened."""
        self._roots[root.root] = root
        if self._closed:  # the caller left before it was there
            self.engine.close(root)

    def made(self, node: Node) -> bool:
        """Whether a node is of this model."""
        return node.root in self._roots

    def read(self) -> int:
        """Tokens that this model read for the request, prompts among them."""
        return sum(self.engine.tokens_read(root) for root in list(self._roots.values()))

    def close(self) -> None:
        """Free all of it; a context that is still being opened is freed when it is there. Idempotent."""
        self._closed = True
        for root in list(self._roots.values()):
            self.engine.close(root)

    def _note(self, opening: Future[Node]) -> None:
        """Runs on the engine's thread, or on that of whoever cancelled."""
        if not opening.cancelled() and opening.exception() is None:
            self.opened(opening.result())


def moved(content: Node, to: Node) -> str | Node:
    """What a node of the other model adds to one of ours: its text beyond ours, or, where it has none, its end.

    Raises StrategyError if it does not say what ours says.
    """
    if content.text == to.text and content.finish is not None:
        return replace(to, finish=content.finish)
    if not content.text.startswith(to.text):
        raise StrategyError(
            "a node of the second model says something else than the node that it is appended to",
            why="only text passes from one model to the other, and it must go on where that one ended",
            fix="append to the node that the second model had read",
        )
    return content.text[len(to.text) :]
