"""Detect, roll back, retry: the closest rival of searching ahead, in the manner of CARE.

A monitor watches a plain stream. Where it fires, what is still held back is given up, and the model goes on from there,
told of its mistake where the policy has words for that (`steer`), else with other random numbers. After `retries`
tries the stream ends.

Source: our reconstruction of CARE (decoding-time detection over a buffer, rollback, introspection); its own text was
not read. The differences to `inference_guard` that it is here to show: one continuation at a time, the first that does
not fire is taken, and no margin, penalty or ranking.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.drawing.steering import Steering
from ig_guardrail.types import Accepted, Append, Commit, CostEstimate, Draw, Drop, Extend, Node, Score, SearchOp


def search(root: Node, ctx: SearchContext) -> Search:
    """Commit blocks of the stream while the monitor is silent; roll back to what was released where it is not."""
    node, released, tries = root, root.position, 0
    while node.finish is None:
        block = yield from _block(node, ctx, tries)
        costs: list[CostEstimate] = yield Score((block,))
        reply = (yield Commit(block)) if costs[0].within else None
        if isinstance(reply, Accepted):
            node, released = block, reply.released
            continue
        yield Drop((block,))
        tries += 1
        if tries > ctx.settings.retries:
            return
        node = yield from _rolled_back(node, released)


def _block(node: Node, ctx: SearchContext, tries: int) -> Generator[SearchOp, Any, Node]:
    """The stream's next block; after a rollback, one that is drawn with other numbers or under other words."""
    if tries == 0 or ctx.steer is None:
        drawn: list[Node] = yield Extend((Draw(node),), ctx.settings.block, tries)
        return drawn[0]
    twin = yield from Steering(ctx.steer).follow(node)
    drawn = yield Extend((Draw(twin),), ctx.settings.block, tries)
    moved: list[Node] = yield Append(((node, drawn[0]),))
    yield Drop((twin, drawn[0]))
    return moved[0]


def _rolled_back(node: Node, released: int) -> Generator[SearchOp, Any, Node]:
    """The end of what was released, which may lie inside a block."""
    stem = next(one for one in node.ancestors() if one.position <= released)
    if stem.position == released:
        return stem
    grown: list[Node] = yield Append(((stem, node.answer_ids()[stem.position : released]),))
    return grown[0]


METHODS = (
    SearchMethod("rollback_retry", search, "detect, roll back over what is held, retry", "CARE (reconstruction)"),
)
