"""DeAL: each next token is judged by where a greedy continuation from it leads.

Source: arXiv 2402.06147: c(v) = log P(y v | x) + lambda h(y v ...l greedy tokens...), the best of the k likeliest v is
kept, one token a step. h is a weighted sum of objectives (`objectives`); the reward model, where there is one, is one
of them. By its name, k is the policy's `candidates` and l its `block`; the paper has k = 5 to 10 and l = 32.

Departures: a continuation that ends over budget is demoted below all others, as one future of many, and is no proof;
the public preset that goes by this name commits whole continuations and is another method.

An objective is over a text, in [0, 1]: keywords that it should hold. Source: the programmatic constraints of DeAL,
arXiv 2402.06147. Departures: keywords count by stem, so that a plural counts; the prompt is not searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.types import (
    Accepted,
    Commit,
    CostEstimate,
    Drop,
    Expand,
    Node,
    Score,
    SearchOp,
    Together,
    TopLogprobs,
)


@dataclass(frozen=True, slots=True)
class Deal:
    """k tokens are tried, each `lookahead` tokens far; None: the policy's `candidates`, its `block`.

    objectives: (weight, objective); weight: lambda
    """

    k: int | None = None
    lookahead: int | None = None
    weight: float = 1.0
    objectives: tuple[tuple[float, Objective], ...] = ()

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        """One token at a time, until the answer ends or the gate denies."""
        node = root
        k = self.k or ctx.settings.candidates
        lookahead = self.lookahead or ctx.settings.block
        while node.finish is None:
            chances: list[tuple[int, float]] = yield TopLogprobs(node, k)
            children: list[Node] = yield Expand(node, k)
            ends = yield from _rollouts(children, lookahead - 1)
            worth = yield from self._worth(ends, ctx)
            best = max(range(len(children)), key=lambda i: (worth[i][0], chances[i][1] + worth[i][1]))
            yield Drop(tuple(end for i, end in enumerate(ends) if end is not children[i]))
            yield Drop(tuple(child for i, child in enumerate(children) if i != best))
            if not isinstance((yield Commit(children[best])), Accepted):
                return
            yield Drop((node,))
            node = children[best]

    def _worth(self, ends: Sequence[Node], ctx: SearchContext) -> Generator[SearchOp, Any, list[tuple[bool, float]]]:
        """Of each continuation: whether it is within budget, and lambda h."""
        costs: list[CostEstimate] = yield Score(tuple(ends))
        rewards: list[float] = (yield Score(tuple(ends), "reward")) if ctx.reward else [0.0] * len(ends)
        own = [sum(share * objective(end.text[: end.visible]) for share, objective in self.objectives) for end in ends]
        return [
            (cost.within, self.weight * (reward + other))
            for cost, reward, other in zip(costs, rewards, own, strict=True)
        ]


def _rollouts(children: Sequence[Node], tokens: int) -> Generator[SearchOp, Any, list[Node]]:
    """Each child's greedy continuation by at most `tokens` tokens, all side by side."""
    ends = list(children)
    for _ in range(tokens):
        growing = [i for i, end in enumerate(ends) if end.finish is None]
        if not growing:
            break
        grown: list[list[Node]] = yield Together(tuple(Expand(ends[i], 1) for i in growing))
        yield Drop(tuple(ends[i] for i in growing if ends[i] is not children[i]))
        for i, (one,) in zip(growing, grown, strict=True):
            ends[i] = one
    return ends


search = Deal()


Objective: TypeAlias = Callable[[str], float]

_WORD = re.compile(r"\w+")
_ENDINGS = ("ing", "ed", "es", "s", "e")
SHORTEST_STEM = 3


def covers(keywords: Sequence[str]) -> Objective:
    """The share of keywords whose stem occurs."""
    wanted = {stem(word) for word in keywords}

    def objective(text: str) -> float:
        return len(wanted & {stem(word) for word in _WORD.findall(text)}) / max(1, len(wanted))

    return objective


def stem(word: str) -> str:
    """A word in lower case without a common English ending."""
    lower = word.lower()
    for ending in _ENDINGS:
        if lower.endswith(ending) and len(lower) - len(ending) >= SHORTEST_STEM:
            return lower.removesuffix(ending)
    return lower


METHODS = (
    SearchMethod("deal", search, "tokens by where greedy continuations lead", "arXiv 2402.06147", uses=(REWARD_MODEL,)),
)
