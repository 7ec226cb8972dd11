"""Plain decoding: one lane, no search.

Without budgets this is strategy `none`, the unguarded stream; behind budgets it is strategy `cut`, the usual filter:
decode until the gate denies, then stop.

Strategy `trace_shield` judges an answer when it has ended, and refuses what recites as a whole. Source: TraceAlign,
arXiv 2508.02063, its filter of finished answers. Departures: there a window slides over the text, and an answer is
refused where the belief conflict index of a match passes a fixed bound, as benign English does too. Here the policy's
budgets decide, provenance being one of their cost models (docs/decisions/provenance.md), and the receipt names the
document.
"""

from __future__ import annotations

from ig_guardrail.search.base import Search, SearchContext, SearchMethod
from ig_guardrail.search.needs import INDEX
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


def search_whole(root: Node, ctx: SearchContext) -> Search:
    """Draw lane 0 to its end, and offer it whole."""
    node = root
    while node.finish is None:
        (child,) = yield Extend((Draw(node),), ctx.settings.block)
        yield Drop((node,))
        node = child
    yield Commit(node)


METHODS = (
    SearchMethod("none", search, "the unguarded stream; no gate"),
    SearchMethod("cut", search, "the usual filter: decode until the gate denies, then stop", plain=True),
    SearchMethod(
        "trace_shield",
        search_whole,
        "the whole stream or nothing: refused at its end if it is over budget, such as by reciting a text",
        "TraceAlign, arXiv 2508.02063, TraceShield",
        needs=(INDEX,),
        plain=True,
        streams=False,
    ),
)
