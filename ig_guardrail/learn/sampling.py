"""The model's own words: answers drawn side by side, and answers read under a prompt, whoever they were meant for.

States are always those of reading: an answer's tokens after a prompt, appended at once. Were some kept from drawing, a
head could tell the two ways of computing apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from ig_guardrail.drive.contexts import read_answers
from ig_guardrail.engine.base import Engine
from ig_guardrail.learn.data.questions import SurveyPrompt
from ig_guardrail.learn.fitting.tensor_cache import TensorCache, Tensors
from ig_guardrail.types import Draw, Message, Node, Sampling

AnswerTokens: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How answers are drawn: `answers` of each prompt, the first of them the unguarded stream of the seed."""

    sampling: Sampling
    answers: int = 4

    def described(self) -> dict[str, object]:
        """For a card."""
        drawn = self.sampling
        return {
            "answers to each": self.answers,
            "tokens": drawn.max_tokens,
            "temperature": drawn.temperature,
            "top_p": drawn.top_p,
            "seed": drawn.seed,
        }


def speak(engine: Engine, question: SurveyPrompt, speech: SamplingPlan, cache: TensorCache) -> list[AnswerTokens]:
    """The tokens of each answer, unguarded; empty answers are left out. Kept in the cache."""
    kept = cache.get(["said", question.text, repr(speech)], lambda: _packed(draw(engine, question.turns, speech)))
    ends = np.cumsum(kept["lengths"]).tolist()
    ids = kept["ids"].tolist()
    return [tuple(ids[end - length : end]) for end, length in zip(ends, kept["lengths"].tolist(), strict=True)]


def draw(engine: Engine, turns: Sequence[Message], speech: SamplingPlan) -> list[AnswerTokens]:
    """The same, drawn now."""
    root = engine.open(engine.encode(turns), speech.sampling).result()
    try:
        nodes = engine.extend([Draw(root, speech.answers)], speech.sampling.max_tokens).result()
        return [node.answer_ids() for node in nodes if node.position]
    finally:
        engine.close(root)


def read(engine: Engine, turns: Sequence[Message], said: Sequence[AnswerTokens], layers: tuple[int, ...]) -> list[Node]:
    """Each answer after the prompt, finished, with hidden states of the layers."""
    return [replace(node, finish="stop") for node in read_answers(engine, engine.encode(turns), said, layers)]


def looks_at(node: Node, step: int) -> tuple[int, ...]:
    """The positions at which an answer is learned from: every `step` tokens, and its end."""
    return tuple(dict.fromkeys([*range(step, node.position, step), node.position]))


def _packed(said: Sequence[AnswerTokens]) -> Tensors:
    lengths = np.array([len(ids) for ids in said], dtype=np.int64)
    return {"lengths": lengths, "ids": np.array([token for ids in said for token in ids], dtype=np.int64)}
