"""Prov-Decode: the stream, token by token, without the tokens that would complete a forbidden run.

Source: TraceAlign, arXiv 2508.02063: each candidate token is looked up together with the tokens before it, and vetoed
if that run belongs to unsafe training text. Here the veto is the budgets': a token that would go over one is vetoed,
which with a cost model of kind `provenance`, charged at each token, is the paper's rule.

Departures: a token is looked up when it is drawn, not before, and where it is vetoed another is drawn, with a fresh
random number and without the vetoed ones. Rejecting like that draws from the model's distribution over the tokens that
are left, and is the unguarded stream itself where nothing is vetoed. The soft penalty of the public code is left out: a
budget above 0 is one. Budgets that are charged further apart can veto a token only at their charge points.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.needs import INDEX
from ig_guardrail.types import Accepted, Commit, CostEstimate, Draw, Drop, Extend, Node, Score, SearchOp

VETO = -1e4  # what a logit of a vetoed token is raised by: far beyond what any model tells apart


@dataclass(frozen=True, slots=True)
class ProvDecode:
    """At most `vetoes` tokens are vetoed in one place; where all of them are, there is no way on."""

    vetoes: int = 32

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        """One token at a time, until the answer ends or none is left."""
        node = root
        while node.finish is None:
            child = yield from self._next(node)
            if child is None or not isinstance((yield Commit(child)), Accepted):
                return
            yield Drop((node,))
            node = child

    def _next(self, node: Node) -> Generator[SearchOp, Any, Node | None]:
        """The first token drawn that is not vetoed."""
        vetoed: tuple[tuple[int, float], ...] = ()
        for attempt in range(1 + self.vetoes):
            (child,) = yield Extend((Draw(node),), 1, attempt, vetoed)
            costs: list[CostEstimate] = yield Score((child,))
            if costs[0].within:
                drawn: Node = child
                return drawn
            yield Drop((child,))
            if not child.ids:  # the end itself is over budget, and no token can be vetoed to put it off
                return None
            vetoed = (*vetoed, (child.ids[-1], VETO))
        return None


search = ProvDecode()

METHODS = (
    SearchMethod(
        "prov_decode",
        search,
        "the stream, without the tokens that would go over budget, such as those of a recited text",
        "TraceAlign, arXiv 2508.02063, Prov-Decode",
        needs=(INDEX,),
    ),
)
