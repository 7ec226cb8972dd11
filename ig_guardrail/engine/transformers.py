"""The engine that runs a `transformers` model in this process, on one thread of its own.

Which way of keeping keys and values a model gets.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import torch

from ig_guardrail.engine.base import EngineInfo, check_context
from ig_guardrail.engine.decoding.by_torch import ByTorch
from ig_guardrail.engine.decoding.contexts import ContextRequest
from ig_guardrail.engine.decoding.operations import TreeOperations
from ig_guardrail.engine.decoding.passes import Caching
from ig_guardrail.engine.decoding.prefill import pace_of
from ig_guardrail.engine.early_exit.layers import Exit
from ig_guardrail.engine.early_exit.lookahead import ReadingAhead, fitted
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.kv.copied import Repetition
from ig_guardrail.engine.kv.prompt_cache import PromptCache, room_for_prompts
from ig_guardrail.engine.kv.shared import Sharing, serves
from ig_guardrail.engine.loading.weights import Weights, info_of, vocabulary_of
from ig_guardrail.engine.loop import Loop
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.scheduler import Scheduler
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.tree import NodeTree
from ig_guardrail.types import CallNotation, Draw, Message, Node, Prompt, Sampling, StateEdit, TokenLogprob

LAST_STEP_S = 2.0  # how long a running step may take to notice that the engine was shut down


def usual_caching(model: Model) -> Caching[Any]:
    """`Sharing` where that gives what the model gives, and `Repetition` elsewhere."""
    return Sharing(model, PromptCache(room_for_prompts(model.device))) if serves(model) else Repetition(model)


class TransformersEngine:
    """A token tree over a `transformers` causal language model. See `engine.base.Engine` for the contract.

    Hidden states of layer L are the output of the L-th decoder layer (for the last one: before the final norm), in the
    model's dtype and on its device. `caching` makes the strategy of keeping keys and values; the mode names it.
    """

    def __init__(self, weights: Weights, caching: Callable[[Model], Caching[Any]] = usual_caching) -> None:
        self._chat = chat_of(weights.tokenizer)
        language = vocabulary_of(weights, self._chat.thoughts)
        self._model = Model(weights.model)
        choice = ReadingAhead(self._model, caching(self._model))
        info = info_of(weights, f"transformers/{choice.name}", language)
        self._info = replace(info, tool_format=self._chat.format)
        self._tree: NodeTree[Any] = NodeTree()
        grammars = Grammars(language, self._chat.text_ids)
        pace = pace_of(choice)
        self._operations = TreeOperations(
            self._tree, choice, ByTorch(self._model.device), self._chat, language, grammars, self._info, pace
        )
        self._loop = Loop("ig-engine")
        self._scheduler = Scheduler(self._loop, choice.read, pace, torch.inference_mode)
        self._lender: TransformersEngine | None = None
        weakref.finalize(self, _stop, self._loop, self._tree)

    def with_exit(self, way_out: Exit) -> TransformersEngine:
        """This engine, its nodes and its thread, with an early exit to read ahead by; it itself stays without.

        Raises ModelError unless the exit fits the model.
        """
        other = self._told(replace(self._info, exit=way_out.layer))
        other._operations = replace(other._operations, exit=fitted(way_out, self._model))
        return other

    def with_context(self, tokens: int) -> TransformersEngine:
        """This engine, its nodes and its thread, for prompts and answers of at most `tokens` together.

        Raises RequestError for more than the model reads, or less than a prompt and an answer of a token each.
        """
        check_context(tokens, self._info)
        return self._told(replace(self._info, context=tokens))

    def _told(self, info: EngineInfo) -> TransformersEngine:
        other = copy.copy(self)
        other._lender = self  # must not end before it
        other._info = info
        other._operations = replace(self._operations, info=info)
        return other

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._tree.closed

    def encode(
        self, turns: Sequence[Message], thinking: bool | None = None, notation: CallNotation | None = None
    ) -> Prompt:
        return self._chat.encode(turns, thinking, notation)

    def open(
        self,
        prompt: Prompt,
        sampling: Sampling,
        layers: tuple[int, ...] = (),
        twin_of: Node | None = None,
        edit: StateEdit | None = None,
    ) -> Future[Node]:
        opening = ContextRequest(prompt, sampling, layers, twin_of, edit)
        if sampling.grammar is None:
            return self._scheduler.submit(self._operations.open(opening))
        return self._operations.grammars.then(
            sampling.grammar, lambda: self._scheduler.submit(self._operations.open(opening))
        )

    def extend(
        self,
        draws: Sequence[Draw],
        tokens: int,
        attempt: int = 0,
        bias: Sequence[tuple[int, float]] = (),
        ahead: int = 0,
    ) -> Future[list[Node]]:
        return self._scheduler.submit(self._operations.extend(draws, tokens, attempt, bias, ahead))

    def expand(self, node: Node, k: int) -> Future[list[Node]]:
        return self._scheduler.submit(self._operations.expand(node, k))

    def top_logprobs(self, node: Node, k: int) -> Future[list[tuple[int, float]]]:
        return self._scheduler.submit(self._operations.top_logprobs(node, k))

    def logprobs(self, node: Node, ids: Sequence[int]) -> Future[list[float]]:
        return self._scheduler.submit(self._operations.logprobs(node, ids))

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> Future[list[TokenLogprob]]:
        return self._scheduler.submit(self._operations.answer_logprobs(node, ids, k))

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> Future[list[Node]]:
        return self._scheduler.submit(self._operations.append(items))

    def close(self, node: Node) -> None:
        self._tree.close(node)

    def forwards(self, root: Node) -> int:
        return self._tree.forwards(root)

    def tokens_read(self, root: Node) -> int:
        return self._tree.tokens_read(root)

    def tokens_cached(self, root: Node) -> int:
        return self._tree.tokens_cached(root)

    def live_nodes(self) -> int:
        return self._tree.live_nodes()

    def shutdown(self) -> None:
        """Close every request and end the engine's thread. Idempotent; work asked for later raises EngineClosed."""
        _stop(self._loop, self._tree)


def _stop(loop: Loop, tree: NodeTree[Any]) -> None:
    """Also runs when the interpreter exits: a thread that is inside the model then would bring the process down."""
    if loop.forked:  # all of it is another process's
        return
    loop.shutdown()
    tree.close_all()
    loop.join(LAST_STEP_S)
