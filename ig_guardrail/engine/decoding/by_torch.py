"""`Arithmetic` by torch, on the device of the model.

A token is drawn by penalties, bias, temperature, top-k, top-p, min-p, then one uniform through the inverse CDF. The CDF
runs over what the filters leave, likeliest token first, equal ones by ascending id. That order makes the exact answer
cheap: nearly always the head of the ranking holds it, and the whole vocabulary need not be sorted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.arithmetic import COLDEST, Ranked
from ig_guardrail.engine.decoding.penalties import SaidTokens, said_tokens
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Sampling

HEADS = (256, 4096)  # how many of the likeliest tokens are ranked before all are


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


@dataclass(frozen=True, slots=True)
class LogitBias:
    """What is added to the logits of some tokens: ids (n,) and values (n,)."""

    ids: Tensor
    values: Tensor

    def add_to(self, logits: Tensor) -> Tensor:
        """The biased logits, (rows, vocabulary)."""
        return logits.index_add(-1, self.ids, self.values.expand(logits.shape[0], -1))


def bias_of(pairs: Iterable[tuple[int, float]], device: torch.device) -> LogitBias | None:
    """The sum of all pairs per token; None if there are none."""
    total: dict[int, float] = {}
    for token, value in pairs:
        total[token] = total.get(token, 0.0) + value
    if not total:
        return None
    values = torch.tensor(list(total.values()), dtype=torch.float32, device=device)
    return LogitBias(torch.tensor(list(total), device=device), values)


class Formed(Protocol):
    """What an answer may go on with: its draft, or its form."""

    def allowed(self) -> NDArray[np.bool_] | None:
        """Which tokens may come next, (vocabulary,); None where all may."""
        ...


def allowed_tokens(drafts: Sequence[Formed | None]) -> Tensor | None:
    """Which tokens may come next in each row, (rows, vocabulary); None where all may in all of them."""
    masks = [None if draft is None else draft.allowed() for draft in drafts]
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    return torch.from_numpy(np.stack([np.ones_like(known) if mask is None else mask for mask in masks]))


def sample_tokens(
    logits: Tensor,
    sampling: Sampling,
    bias: LogitBias | None,
    uniforms: Sequence[float],
    allowed: Tensor | None = None,
    said: SaidTokens | None = None,
) -> tuple[list[int], list[float]]:
    """One token for each row of `logits` (rows, vocabulary), and its log-probability in nats by the logits alone.

    `uniforms` has one number in [0, 1) for each row. Temperature 0 takes the likeliest token after penalties and bias.
    Tokens that are not `allowed`, (rows, vocabulary), are never taken, whatever bias they have. Penalties are those on
    what was `said`; None where there are none.
    Raises EngineError if the model gave something that is no distribution.
    """
    raw = logits.float()
    normaliser = log_normaliser(raw)
    penalised = raw if said is None else said.penalised(raw, sampling)
    biased = penalised if bias is None else bias.add_to(penalised)
    if allowed is not None:
        biased = biased.masked_fill(~allowed.to(biased.device), -math.inf)
    if sampling.temperature == 0:
        tokens = biased.argmax(-1)
    else:
        tokens = _draw(biased, sampling, torch.tensor(uniforms, dtype=torch.float64)).to(raw.device)
    chosen = raw.gather(-1, tokens[:, None])[:, 0] - normaliser
    return tokens.tolist(), chosen.tolist()


def log_normaliser(logits: Tensor) -> Tensor:
    """The log of each row's normaliser, (rows,). Raises EngineError unless all are finite."""
    normaliser = logits.logsumexp(-1)
    if not bool(normaliser.isfinite().all()):
        raise EngineError(
            "the model gave logits that are not numbers",
            where="engine",
            why="no token can be drawn from them",
            fix="run the model in another dtype (bfloat16 or float32); float16 may overflow",
        )
    return normaliser


def top_logprobs(logits: Tensor, count: int, allowed: Tensor | None = None) -> list[int]:
    """The `count` likeliest tokens of one row (vocabulary,), likeliest first, equal ones by ascending id.

    allowed: (1, vocabulary); with it, only tokens that are.
    """
    row = logits.float()[None]
    _, ids = _ranking(row if allowed is None else row.masked_fill(~allowed.to(row.device), -math.inf), row.shape[-1])
    possible = row.shape[-1] if allowed is None else int(allowed.sum())
    return [int(token) for token in ids[0, : min(count, possible)].tolist()]


def _draw(biased: Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    scaled = (biased - biased.amax(-1, keepdim=True)).div_(max(sampling.temperature, COLDEST))
    normaliser = scaled.logsumexp(-1, keepdim=True).cpu()
    vocabulary = scaled.shape[-1]
    for head in sorted({min(vocabulary, max(head, 2 * sampling.top_k)) for head in (*HEADS, vocabulary)}):
        tokens = _pick(scaled, normaliser, head, sampling, uniforms)
        if tokens is not None:
            return tokens
    raise AssertionError("the whole ranking always holds the answer")


def _pick(scaled: Tensor, normaliser: Tensor, head: int, sampling: Sampling, uniforms: Tensor) -> Tensor | None:
    """A token per row from the `head` likeliest; None unless ranking all would give the same."""
    values, ids = _ranking(scaled, head)
    limit = min(sampling.top_k or head, head)
    mass = (values[:, :limit] - normaliser).double().exp()
    if sampling.top_k:
        mass = mass / mass.sum(-1, keepdim=True)
    kept = _kept(mass, sampling)
    reached = (mass * kept).cumsum(-1)
    filtered = sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0
    total = reached[:, -1:] if filtered else torch.ones_like(reached[:, -1:])
    last = kept.sum(-1, keepdim=True) - 1
    index = torch.searchsorted(reached, uniforms[:, None] * total, right=True)
    if head < scaled.shape[-1]:
        deepest = last if filtered else index
        inside = deepest < (limit if sampling.top_k else limit - 1)
        above = values.gather(-1, deepest.clamp(max=head - 1)) > values[:, -1:]
        if not bool((inside & above).all()):
            return None
    return ids.gather(-1, torch.minimum(index, last))[:, 0]


def _kept(mass: Tensor, sampling: Sampling) -> Tensor:
    """Which of the ranked tokens the nucleus (top-p) and the floor (min-p) leave; the likeliest always stays."""
    kept = mass > 0
    if sampling.top_p < 1:
        kept &= mass.cumsum(-1) - mass < sampling.top_p
    if sampling.min_p > 0:
        kept &= mass >= sampling.min_p * mass[:, :1]
    return kept


def _ranking(values: Tensor, head: int) -> tuple[Tensor, Tensor]:
    """The `head` highest values of each row and their ids, highest first, equal ones by ascending id; on the CPU."""
    if head == values.shape[-1]:
        ranked, ids = values.sort(dim=-1, descending=True, stable=True)
        return ranked.cpu(), ids.cpu()
    top, ids = values.topk(head, dim=-1)
    top, (ids, order) = top.cpu(), ids.cpu().sort(-1)
    ranked, order = top.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return ranked, ids.gather(-1, order)
