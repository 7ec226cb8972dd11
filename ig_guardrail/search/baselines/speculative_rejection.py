"""Speculative rejection: begin many answers, and again and again drop the half that looks worst.

Source: arXiv 2410.20290, with alpha = 1/2. Departures: halving happens at every block and not when memory runs out,
until one is left; an answer that is over budget is dropped first, since nothing could release it.
"""

from __future__ import annotations

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.drawing.preference import ScoredNode, augmented, scored
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.types import Commit, Draw, Drop, Extend, Node


def search(root: Node, ctx: SearchContext) -> Search:
    """Halve `candidates` answers by their partial value until all that are left have ended; offer the best."""
    lanes = dict(enumerate([root] * ctx.settings.candidates))
    while True:
        growing = [lane for lane, node in lanes.items() if node.finish is None]
        grown: list[Node] = yield Extend(tuple(Draw(lanes[lane], 1, lane) for lane in growing), ctx.settings.block)
        yield Drop(tuple(lanes[lane] for lane in growing))
        lanes.update(zip(growing, grown, strict=True))
        ranked = sorted((yield from scored(tuple(lanes.values()), ctx)), key=augmented, reverse=True)
        kept = ranked[: max(1, len(ranked) // 2)]
        if all(one.node.finish is not None for one in kept):
            yield Drop(tuple(one.node for one in ranked[1:]))
            yield Commit(ranked[0].node)
            return
        yield Drop(tuple(one.node for one in ranked[len(kept) :]))
        lanes = _still_there(lanes, kept)


def _still_there(lanes: dict[int, Node], kept: list[ScoredNode]) -> dict[int, Node]:
    ids = {one.node.id for one in kept}
    return {lane: node for lane, node in lanes.items() if node.id in ids}


METHODS = (
    SearchMethod(
        "speculative_rejection",
        search,
        "many answers, halved block by block",
        "arXiv 2410.20290",
        uses=(REWARD_MODEL,),
        streams=False,
        baseline=True,
    ),
)
