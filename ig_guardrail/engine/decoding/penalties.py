"""Penalties on tokens that were said before: what a batch of answers holds, and how that changes its logits.

A penalty is a function of prompt and answer alone, so block sizes, lanes and other answers change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ig_guardrail.types import Sampling


class SaidTokens:
    """How often each row's answer holds each token, and which tokens its prompt holds.

    prompt   whether the prompt holds a token, (vocabulary,)
    answers  how often an answer holds it, (rows, vocabulary)
    """

    def __init__(self, prompt: Tensor, answers: Tensor) -> None:
        self._prompt = prompt
        self._answers = answers

    def penalised(self, logits: Tensor, sampling: Sampling) -> Tensor:
        """`logits` (rows, vocabulary) after the penalties of `sampling`; the repetition penalty comes first."""
        said = self._answers > 0
        if sampling.repetition_penalty != 1:
            lowered = torch.where(
                logits < 0, logits * sampling.repetition_penalty, logits / sampling.repetition_penalty
            )
            logits = torch.where(said | self._prompt, lowered, logits)
        if sampling.frequency_penalty:
            logits = logits - sampling.frequency_penalty * self._answers
        if sampling.presence_penalty:
            logits = logits - sampling.presence_penalty * said
        return logits

    def say(self, tokens: Mapping[int, int]) -> None:
        """Count one more token for some rows: row -> token."""
        if tokens:
            self._answers[list(tokens), list(tokens.values())] += 1

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all other rows."""
        self._answers = self._answers[list(rows)]

    def row(self, number: int) -> SaidTokens:
        """One row alone, as it is now."""
        return SaidTokens(self._prompt, self._answers[number : number + 1])


def said_tokens(prompt: Sequence[int], answers: Sequence[Sequence[int]], logits: Tensor) -> SaidTokens:
    """What a prompt and the answers to it (rows) hold, beside `logits` (rows, vocabulary)."""
    size, device = logits.shape[-1], logits.device
    held = torch.zeros(size, dtype=torch.bool, device=device)
    held[torch.tensor(prompt, device=device)] = True
    counts = torch.zeros(len(answers), size, dtype=torch.float32, device=device)
    for row, ids in zip(counts, answers, strict=True):
        row.index_add_(0, torch.tensor(ids, dtype=torch.long, device=device), row.new_ones(len(ids)))
    return SaidTokens(held, counts)
