"""ARGS: at every token, the k likeliest ones ranked by log-probability plus a weighted reward of the text so far.

Source: arXiv 2402.01694; weight 2.5 as in arXiv 2502.01208, whose Lagrangian and cost-only variants these are. k is the
policy's `candidates`; there it is 20. Departures: an end token is one of the candidates, where the public code never
ends by itself; costs are those of a policy's charge points, and between them what hidden states show, where a cost
model reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.search.base import Search, SearchContext, SearchMethod, Strategy
from ig_guardrail.search.drawing.preference import PRICE
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.types import Accepted, Commit, Drop, Expand, Node, Score, SearchOp, TopLogprobs

WEIGHT = 2.5


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """A one-token child. risk: its highest score as a share of the threshold, over budgets."""

    node: Node
    logprob: float
    reward: float
    risk: float


Worth: TypeAlias = Callable[[TokenChoice], float]


def by_reward(step: TokenChoice) -> float:
    """log p + w r."""
    return step.logprob + WEIGHT * step.reward


def lagrangian(step: TokenChoice) -> float:
    """log p + w (r - price * risk)."""
    return step.logprob + WEIGHT * (step.reward - PRICE * step.risk)


def by_cost(step: TokenChoice) -> float:
    """log p - w risk."""
    return step.logprob - WEIGHT * step.risk


def args(worth: Worth) -> Strategy:
    """One token after the other, the worthiest of the likeliest, until the answer ends or the gate denies."""

    def search(root: Node, ctx: SearchContext) -> Search:
        node = root
        while node.finish is None:
            steps = yield from _steps(node, ctx)
            best = max(steps, key=worth)
            yield Drop(tuple(step.node for step in steps if step is not best))
            if not isinstance((yield Commit(best.node)), Accepted):
                return
            yield Drop((node,))
            node = best.node

    return search


def _steps(node: Node, ctx: SearchContext) -> Generator[SearchOp, Any, list[TokenChoice]]:
    chances: list[tuple[int, float]] = yield TopLogprobs(node, ctx.settings.candidates)
    children: list[Node] = yield Expand(node, ctx.settings.candidates)
    risks: list[float] = yield Score(tuple(children), "early_score")
    rewards: list[float] = (yield Score(tuple(children), "reward")) if ctx.reward else [0.0] * len(children)
    return [
        TokenChoice(child, logprob, reward, risk)
        for child, (_, logprob), reward, risk in zip(children, chances, rewards, risks, strict=True)
    ]


METHODS = (
    SearchMethod(
        "args",
        args(by_reward),
        "likelihood plus reward, token by token",
        "arXiv 2402.01694",
        needs=(REWARD_MODEL,),
        baseline=True,
    ),
    SearchMethod(
        "args_lagrangian",
        args(lagrangian),
        "likelihood plus reward less a price on risk, token by token",
        "arXiv 2502.01208, ARGS + Lagrangian",
        needs=(REWARD_MODEL,),
        baseline=True,
    ),
    SearchMethod(
        "args_cost",
        args(by_cost),
        "likelihood less risk, token by token",
        "arXiv 2502.01208, ARGS + cost model",
        baseline=True,
    ),
)
