"""What methods that rank whole candidates prefer: reward alone, reward among the safe, reward less a price on cost.

Source: the baselines of arXiv 2502.01208. Departure: there a cost model's raw score is summed over the answer; here the
cost is what a policy's budgets would be charged, so that one policy holds for every method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.search.base import SearchContext
from ig_guardrail.types import CostEstimate, Node, Score, SearchOp

PRICE = 5.0  # the smaller of the two multipliers of arXiv 2502.01208


@dataclass(frozen=True, slots=True)
class ScoredNode:
    """A node, what committing it would cost, and its task value, higher is better."""

    node: Node
    cost: CostEstimate
    value: float


Preference: TypeAlias = Callable[[ScoredNode], tuple[float, ...]]


def by_reward(one: ScoredNode) -> tuple[float, ...]:
    """The task value, whatever it costs."""
    return (one.value,)


def augmented(one: ScoredNode) -> tuple[float, ...]:
    """Safe before unsafe, then the task value: the reshaped cost with a penalty no value can outweigh."""
    return (float(one.cost.within), one.value)


def lagrangian(one: ScoredNode) -> tuple[float, ...]:
    """The task value less a fixed price on cost."""
    return (one.value - PRICE * one.cost.spent,)


def scored(nodes: Sequence[Node], ctx: SearchContext) -> Generator[SearchOp, Any, list[ScoredNode]]:
    """Costs and task values; without a reward model a candidate is worth its mean log-probability."""
    costs: list[CostEstimate] = yield Score(tuple(nodes))
    values: list[float] = (yield Score(tuple(nodes), "reward")) if ctx.reward else [likelihood(node) for node in nodes]
    return [ScoredNode(*one) for one in zip(nodes, costs, values, strict=True)]


def likelihood(node: Node) -> float:
    """Mean log-probability of the tokens of an answer for which it is known, nats; 0 if there are none."""
    logprobs = [value for step in node.path() for value in step.logprobs if not math.isnan(value)]
    return math.fsum(logprobs) / len(logprobs) if logprobs else 0.0
