"""Plain decoding: one lane, no search.

Without budgets this is strategy `none`, the unguarded stream; behind budgets it is strategy `cut`, the usual filter:
decode until the gate denies, then stop.
"""

from __future__ import annotations

from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.types import Accepted, Commit, Draw, Drop, Extend, Node


def search(root: Node, ctx: SearchContext, ahead: int = 0) -> Search:
    """Extend lane 0 and commit, until the answer ends or the gate denies.

    ahead: how many tokens at a time may be guessed, see `Extend`
    """
    node = root
    while node.finish is None:
        (child,) = yield Extend((Draw(node),), tokens=ctx.settings.block, ahead=ahead)
        if not isinstance((yield Commit(child)), Accepted):
            return
        yield Drop((node,))
        node = child
