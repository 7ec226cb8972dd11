"""Best-of-N: draw N whole answers, keep the preferred one.

Source: the baselines of arXiv 2502.01208 (plain, augmented with the safety state, Lagrangian). Nothing can be shown
before all answers have ended. The preferred answer is offered and no other: what the gate denies is refused.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, SearchMethod, Strategy
from ig_guardrail.search.drawing import preference
from ig_guardrail.search.drawing.preference import Preference, scored
from ig_guardrail.search.drawing.round import Round
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.types import Commit, Drop, Node, SearchOp


def best_of_n(prefer: Preference) -> Strategy:
    """Best of `candidates` answers by a preference; equal ones by lane."""

    def search(root: Node, ctx: SearchContext) -> Search:
        answers = yield from whole_answers(root, ctx)
        candidates = yield from scored(answers, ctx)
        best = max(candidates, key=prefer)
        yield Drop(tuple(one.node for one in candidates if one is not best))
        yield Commit(best.node)

    return search


def whole_answers(root: Node, ctx: SearchContext) -> Generator[SearchOp, Any, list[Node]]:
    """`candidates` answers to their end, side by side, lane 0 first."""
    lanes = tuple(range(ctx.settings.candidates))
    rows = Round((root,) * len(lanes), lanes, [root] * len(lanes), 0, (), steered=False)
    while not rows.ended:
        rows.take((yield rows.next(ctx.settings.block)))
    yield Drop(rows.passed())
    return rows.rows


METHODS = (
    SearchMethod(
        "best_of_n",
        best_of_n(preference.augmented),
        "N answers, the best reward among those within budget",
        "arXiv 2502.01208, BoN + augmented",
        uses=(REWARD_MODEL,),
        streams=False,
    ),
    SearchMethod(
        "best_of_n_plain",
        best_of_n(preference.by_reward),
        "N answers, the best reward, whatever it costs",
        "arXiv 2502.01208, BoN",
        uses=(REWARD_MODEL,),
        streams=False,
        baseline=True,
    ),
    SearchMethod(
        "best_of_n_lagrangian",
        best_of_n(preference.lagrangian),
        "N answers, the best reward less a price on cost",
        "arXiv 2502.01208, BoN + Lagrangian",
        uses=(REWARD_MODEL,),
        streams=False,
        baseline=True,
    ),
)
