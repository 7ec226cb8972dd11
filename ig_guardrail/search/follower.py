"""Follows another strategy: receipts keep no tokens, and whoever reads an answer again needs them."""

from __future__ import annotations

from typing import Any

from ig_guardrail.search.base import Search, SearchContext, Strategy
from ig_guardrail.types import Accepted, Commit, Node


class Follower:
    """A strategy that runs another one unchanged and remembers the last commit that was taken.

    ids       the answer's tokens up to it
    finished  whether the answer ends with it
    """

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.ids: tuple[int, ...] = ()
        self.finished = False

    def __call__(self, root: Node, ctx: SearchContext) -> Search:
        search = self._strategy(root, ctx)
        reply: Any = None
        try:
            while True:
                request = search.send(reply)
                reply = yield request
                if isinstance(request, Commit) and isinstance(reply, Accepted):
                    self.ids = request.node.answer_ids()
                    self.finished = request.node.finish is not None
        except StopIteration:
            return
        finally:
            search.close()
