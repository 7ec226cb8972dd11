"""`Arithmetic` by torch, on the device of the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.arithmetic import Ranked
from ig_guardrail.engine.decoding.penalties import SaidTokens, said_tokens
from ig_guardrail.engine.decoding.sampling import (
    LogitBias,
    allowed_tokens,
    bias_of,
    log_normaliser,
    sample_tokens,
    top_logprobs,
)
from ig_guardrail.types import Sampling


@dataclass(frozen=True, slots=True)
class ByTorch:
    """Computes where the logits are."""

    device: torch.device

    def rows(self, logits: Sequence[Tensor]) -> Tensor:
        first = logits[0]
        if all(one is first for one in logits):
            return first.expand(len(logits), -1)
        return torch.stack(list(logits))

    def joined(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return torch.cat(list(parts), dim=axis)

    def kept(self, array: Tensor) -> Tensor:
        return array.clone()

    def states(self, parts: Sequence[Tensor]) -> Tensor:
        with torch.inference_mode(False):  # plain tensors, which autograd may use
            return torch.cat(list(parts))

    def bias(self, pairs: Iterable[tuple[int, float]]) -> LogitBias | None:
        return bias_of(pairs, self.device)

    def allowed(self, drafts: Sequence[AnswerDraft]) -> Tensor | None:
        return allowed_tokens(drafts)

    def said(self, prompt: Sequence[int], answers: Sequence[Sequence[int]], logits: Tensor) -> SaidTokens:
        return said_tokens(prompt, answers, logits)

    def sample(
        self,
        logits: Tensor,
        sampling: Sampling,
        bias: LogitBias | None,
        uniforms: Sequence[float],
        allowed: Tensor | None,
        said: SaidTokens | None,
    ) -> tuple[list[int], list[float]]:
        return sample_tokens(logits, sampling, bias, uniforms, allowed, said)

    def likeliest(self, logits: Tensor, count: int, allowed: Tensor | None = None) -> list[int]:
        return top_logprobs(logits, count, allowed)

    def logprobs(self, logits: Tensor, ids: Sequence[int]) -> list[float]:
        if not ids:
            return []
        raw = logits[: len(ids)].float()
        chosen = raw.gather(-1, torch.tensor(ids, device=raw.device)[:, None])[:, 0] - log_normaliser(raw)
        return [float(value) for value in chosen.tolist()]

    def ranked(self, logits: Tensor, ids: Sequence[int], k: int) -> list[Ranked]:
        raw = logits[: len(ids)].float()
        chances = raw - log_normaliser(raw)[:, None]
        rows = [top_logprobs(row, k) for row in raw]
        return [
            (float(row[token]), [(other, float(row[other])) for other in others])
            for row, token, others in zip(chances, ids, rows, strict=True)
        ]
