"""Resampling: commit an answer block by block; where the gate denies, begin another, as long as nothing was shown.

It needs no more of an engine than whole answers to begin again, so it serves models that are decoded elsewhere. How
often a rescue is possible is up to the policy's `hold`: text that is held back can still be replaced, and only all of
it at once. Attempt k is the k-th answer of lane 0; attempt 0 is the unguarded stream.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.types import Accepted, Commit, Draw, Drop, Extend, Node, SearchOp


def search(root: Node, ctx: SearchContext) -> Search:
    """At most 1 + `retries` answers; the first that ends, or that something was shown of, is the last."""
    for attempt in range(1 + ctx.settings.retries):
        if (yield from _settled(root, attempt, ctx.settings.block)):
            return


def _settled(root: Node, attempt: int, block: int) -> Generator[SearchOp, Any, bool]:
    """Commit one answer as far as the gate goes along; whether no other may take its place."""
    node, released = root, 0
    while node.finish is None:
        (child,) = yield Extend((Draw(node),), block, attempt)
        reply = yield Commit(child)
        if not isinstance(reply, Accepted):
            yield Drop((child,))
            return released > 0
        yield Drop((node,))
        node, released = child, reply.released
    return True


METHODS = (SearchMethod("resample", search, "another answer where one is denied, while nothing was shown"),)
