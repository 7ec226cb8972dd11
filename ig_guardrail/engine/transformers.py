"""The engine that runs a `transformers` model in this process, on one thread of its own.

Also here: which way of keeping keys and values a model gets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ig_guardrail.engine.decoding.by_torch import ByTorch
from ig_guardrail.engine.decoding.operations import TreeOperations
from ig_guardrail.engine.decoding.pages import room_for_prompts
from ig_guardrail.engine.decoding.passes import Caching
from ig_guardrail.engine.decoding.prefill import pace_of
from ig_guardrail.engine.early_exit.layers import Exit
from ig_guardrail.engine.early_exit.lookahead import ReadingAhead, fitted
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.kv.copied import Repetition
from ig_guardrail.engine.kv.prompt_cache import PromptCache, memory_of
from ig_guardrail.engine.kv.shared import Sharing, serves
from ig_guardrail.engine.loading.weights import Weights, info_of, vocabulary_of
from ig_guardrail.engine.loop import Loop
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.scheduler import Scheduler
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.tree import NodeTree
from ig_guardrail.engine.tree_engine import TreeEngine


def usual_caching(model: Model) -> Caching[Any]:
    """`Sharing` where that gives what the model gives, and `Repetition` elsewhere."""
    return (
        Sharing(model, PromptCache(room_for_prompts(memory_of(model.device)))) if serves(model) else Repetition(model)
    )


class TransformersEngine(TreeEngine):
    """A token tree over a `transformers` causal language model. See `engine.base.Engine` for the contract.

    Hidden states of layer L are the output of the L-th decoder layer (for the last one: before the final norm), in the
    model's dtype and on its device. `caching` makes the strategy of keeping keys and values; the mode names it.
    """

    def __init__(self, weights: Weights, caching: Callable[[Model], Caching[Any]] = usual_caching) -> None:
        chat = chat_of(weights.tokenizer)
        language = vocabulary_of(weights, chat.thoughts)
        self._model = Model(weights.model)
        choice = ReadingAhead(self._model, caching(self._model))
        info = info_of(weights, f"transformers/{choice.name}", language, chat)
        tree: NodeTree[Any] = NodeTree()
        grammars, pace = Grammars(language, chat.text_ids), pace_of(choice)
        by = ByTorch(self._model.device)
        operations = TreeOperations(tree, choice, by, chat, language, grammars, info, pace)
        loop = Loop("ig-engine")
        super().__init__(operations, loop, Scheduler(loop, choice.read, pace, torch.inference_mode))

    def with_exit(self, way_out: Exit) -> TransformersEngine:
        """This engine, its nodes and its thread, with an early exit to read ahead by; it itself stays without.

        Raises ModelError unless the exit fits the model.
        """
        other = self._told(replace(self.info, exit=way_out.layer))
        other._operations = replace(other._operations, exit=fitted(way_out, self._model))
        return other
