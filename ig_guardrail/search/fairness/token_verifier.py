"""Speculative decoding towards a fair law: a draft token is kept or replaced so that the answer's law is exact.

The target is the verifier's law less the price of the equivariant gap (`lanes`), over the verifier's k likeliest
tokens c: q~(c) is proportional to

    q(c | g, x, y) exp(-alpha D(c))

A token c of the draft's law d is kept with probability min(1, q~(c) / d(c)), else one is drawn from (q~ - d)+. What is
drawn has the law q~ whatever d is.

Source: the aim of AMBEDKAR, arXiv 2509.02133, with the acceptance test of speculative sampling (arXiv 2211.17192).
Departures: the paper takes the best of the draft's k tokens, with no acceptance test; tokens beyond the k likeliest are
left out of both laws; d and q are the model's own at temperature 1, and the request's temperature and filters do not
count. The verifier is the drafting model under the policy's `steer` text, so nothing is faster for it.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.drawing.dice import drawn, uniform
from ig_guardrail.search.fairness.contexts import VerifiedToken, VerifierContexts
from ig_guardrail.search.needs import CONSTITUTION, ONE_VOCABULARY, SWAP_LEXICON
from ig_guardrail.text.counterfactual import Swap
from ig_guardrail.types import Accepted, Append, Commit, Drop, Node, SearchOp, TopLogprobs


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """swaps: one lane each; None: the policy's. alpha: the price of a nat of gap. k: how many tokens each law has."""

    swaps: tuple[Swap, ...] | None = None
    alpha: float = 1.0
    k: int = 20

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        """Token by token, until the answer ends, the verifier has no fair token, or the gate denies."""
        lanes = VerifierContexts(ctx.steer or "", ctx.swaps if self.swaps is None else self.swaps)
        yield from lanes.open(root)
        node = root
        while node.finish is None:
            after = yield from self._next(node, lanes, ctx.seed)
            if after is None or not isinstance((yield Commit(after)), Accepted):
                return
            if after.finish is None:
                yield from lanes.verify((after,))
            yield from lanes.forget((node,))
            yield Drop((node,))
            node = after

    def _next(self, node: Node, lanes: VerifierContexts, seed: int) -> Generator[SearchOp, Any, Node | None]:
        """The answer with one more token, or its end."""
        ranked: list[tuple[int, float]] = yield TopLogprobs(node, self.k)
        choices = yield from lanes.next_tokens(node, self.k)
        goal = target(choices, self.alpha)
        after: Node | None = None
        if goal:
            draft = normal({token: math.exp(logprob) for token, logprob in ranked})
            numbers = tuple(uniform(seed, node.position, throw) for throw in range(3))
            token = speculative(draft, goal, numbers)
            (after,) = yield Append(((node, next(one.child for one in choices if one.token == token)),))
        yield Drop(tuple(one.child for one in choices))
        return after


def target(choices: Sequence[VerifiedToken], alpha: float) -> dict[int, float]:
    """q~ by token; tokens whose gap is unknown are not in it. Empty if that is all of them."""
    tilted = {one.token: one.logprob - alpha * one.gap for one in choices if math.isfinite(one.gap)}
    highest = max(tilted.values(), default=-math.inf)
    return normal({token: math.exp(value - highest) for token, value in tilted.items()} if highest > -math.inf else {})


def speculative(draft: Mapping[int, float], goal: Mapping[int, float], numbers: Sequence[float]) -> int:
    """A token with exactly the law `goal`, by way of one with the law `draft`; three numbers in [0, 1) decide."""
    token = drawn(draft, numbers[0])
    if numbers[1] * draft[token] < goal.get(token, 0.0):
        return token
    residual = {one: mass - draft.get(one, 0.0) for one, mass in goal.items() if mass > draft.get(one, 0.0)}
    return drawn(residual or goal, numbers[2])


def normal(masses: Mapping[int, float]) -> dict[int, float]:
    """Masses that sum to 1."""
    whole = math.fsum(masses.values())
    return {token: mass / whole for token, mass in masses.items()}


search = TokenVerifier()

METHODS = (
    SearchMethod(
        "token_verifier",
        search,
        "tokens drawn under a constitution, less likely the more they depend on the group",
        "AMBEDKAR, arXiv 2509.02133 (speculative)",
        needs=(CONSTITUTION, ONE_VOCABULARY),
        uses=(SWAP_LEXICON,),
        baseline=True,
    ),
)
