"""Blockwise beam search: grow K beams to N candidates a block, keep the preferred K.

Source: the baselines of arXiv 2502.01208 (plain, augmented with the safety state, Lagrangian). Only what all beams
share is committed, so text flows as beams agree. There is no second try: what the gate denies ends the answer. The
penalty and the resampling that follow in `inference_guard` are what it adds to the augmented one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, SearchMethod, Strategy
from ig_guardrail.search.drawing import preference
from ig_guardrail.search.drawing.preference import Preference, ScoredNode, scored
from ig_guardrail.search.drawing.ranking import distinct
from ig_guardrail.search.inference_guard import shared_prefix
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.types import Accepted, Commit, Draw, Drop, Extend, Node, SearchOp


def beam(prefer: Preference) -> Strategy:
    """`beams` of `candidates` blocks by a preference; equal ones by lane. Ended answers stay among the candidates."""

    def search(root: Node, ctx: SearchContext) -> Search:
        beams, tip = [root], root
        while any(node.finish is None for node in beams):
            candidates = yield from _grown(beams, ctx)
            kept = sorted(distinct(candidates), key=prefer, reverse=True)[: ctx.settings.beams]
            lost = {one.node.id for one in candidates} - {one.node.id for one in kept}
            yield Drop(tuple(one.node for one in candidates if one.node.id in lost))
            beams = [one.node for one in kept]
            offer = beams[0] if all(node.finish is not None for node in beams) else shared_prefix(beams)
            if all(offer is not node for node in tip.ancestors()):
                if not isinstance((yield Commit(offer)), Accepted):
                    return
                tip = offer

    return search


def _grown(beams: Sequence[Node], ctx: SearchContext) -> Generator[SearchOp, Any, list[ScoredNode]]:
    """The next block of every beam, `candidates` in all, and the beams that have ended."""
    growing = [node for node in beams if node.finish is None]
    share = max(1, ctx.settings.candidates // len(growing))
    draws = tuple(Draw(node, share, lane=share * place) for place, node in enumerate(growing))
    children: list[Node] = yield Extend(draws, ctx.settings.block)
    ended = [node for node in beams if node.finish is not None]
    return (yield from scored([*ended, *children], ctx))


METHODS = (
    SearchMethod(
        "beam",
        beam(preference.augmented),
        "blockwise beams, the best reward among those within budget",
        "arXiv 2502.01208, beam + augmented",
        uses=(REWARD_MODEL,),
        baseline=True,
    ),
    SearchMethod(
        "beam_plain",
        beam(preference.by_reward),
        "blockwise beams by reward, whatever they cost",
        "arXiv 2502.01208, beam",
        uses=(REWARD_MODEL,),
        baseline=True,
    ),
    SearchMethod(
        "beam_lagrangian",
        beam(preference.lagrangian),
        "blockwise beams by reward less a price on cost",
        "arXiv 2502.01208, beam + Lagrangian",
        uses=(REWARD_MODEL,),
        baseline=True,
    ),
)
