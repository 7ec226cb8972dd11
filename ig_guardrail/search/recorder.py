"""Follows another strategy: receipts keep no tokens, and whoever reads an answer again needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ig_guardrail.search.base import Search, SearchContext, Strategy
from ig_guardrail.types import Accepted, Commit, Node, SearchOp


def watched(strategy: Strategy, see: Callable[[SearchOp, Any], None]) -> Strategy:
    """The strategy, unchanged; `see` is told each request and the reply it got."""

    def search(root: Node, ctx: SearchContext) -> Search:
        inner = strategy(root, ctx)
        reply: Any = None
        try:
            while True:
                request = inner.send(reply)
                reply = yield request
                see(request, reply)
        except StopIteration:
            return
        finally:
            inner.close()

    return search


class Follower:
    """A strategy that runs another one unchanged and remembers the last commit that was taken.

    ids       the answer's tokens up to it
    finished  whether the answer ends with it
    """

    def __init__(self, strategy: Strategy) -> None:
        self._watched = watched(strategy, self._see)
        self.ids: tuple[int, ...] = ()
        self.finished = False

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        return self._watched(root, ctx)

    def _see(self, request: SearchOp, reply: Any) -> None:
        if isinstance(request, Commit) and isinstance(reply, Accepted):
            self.ids = request.node.answer_ids()
            self.finished = request.node.finish is not None
