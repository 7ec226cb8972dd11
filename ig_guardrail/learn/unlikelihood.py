"""A training loss against reciting: tokens of runs that cost something are made less likely.

Source: TraceAlign (arXiv 2508.02063), the Contrastive Belief Deconfliction loss, which adds sum max(0, BCI - tau) to a
preference loss. That term is computed on tokens already chosen, so it has no gradient with respect to the model.
Departure: each such token costs -w log(1 - p(token)), unlikelihood training (arXiv 1908.04319), with w its provenance
score. No command trains with it yet; it is the term that an adapter's loss would add.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ig_guardrail.costs.base import CostModel
from ig_guardrail.types import Piece, Prompt

if TYPE_CHECKING:
    from torch import Tensor


def token_weights(cost: CostModel, prompt: Prompt, ids: Sequence[int]) -> list[float]:
    """For each token of an answer, the highest score of `cost` for the answer up to it."""
    state, weights = cost.start(prompt), []
    for token in ids:
        ((state, scores),) = cost.advance([(state, Piece("", (token,)))])
        weights.append(max(scores))
    return weights


def unlikelihood(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """-sum_j w_j log(1 - p_j(ids_j)), nats: a scalar, 0 where nothing weighs.

    logits   (tokens, vocabulary): the model's at each of the answer's tokens
    ids      (tokens,): the answer's tokens
    weights  (tokens,): at least 0
    """
    import torch

    others = logits.scatter(-1, ids.unsqueeze(-1), -torch.inf)
    log_rest = torch.logsumexp(others, -1) - torch.logsumexp(logits, -1)
    return -(weights * log_rest).sum()
