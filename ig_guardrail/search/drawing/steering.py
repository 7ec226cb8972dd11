"""Steered proposals: blocks drawn in a twin context whose system text asks for care, then moved into the original.

The proposal changes, the verifier does not: a moved block is scored, charged and continued in the original context.
Departure from arXiv 2502.01208, which changes the proposal by token penalties only.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ig_guardrail.types import Append, Drop, Edit, Node, SearchOp, Twin


class Steering:
    """The twin context of one answer: which of its nodes mirrors which node of the original."""

    def __init__(self, edit: str) -> None:
        self._edit = Edit(edit)
        self._twins: dict[int, Node] = {}

    def follow(self, node: Node) -> Generator[SearchOp, Any, Node]:
        """The twin of `node`: known, or grown from the nearest twin above it, or opened again."""
        if node.id not in self._twins:
            beside = next((self._twins[above.id] for above in node.ancestors() if above.id in self._twins), None)
            if beside is None:
                self._twins[node.id] = yield Twin(node, self._edit)
            else:
                (self._twins[node.id],) = yield Append(((beside, node),))
        return self._twins[node.id]

    def forget(self, node: Node) -> Generator[SearchOp, Any, None]:
        """Give up the twin of a node that can no longer be backed up to."""
        twin = self._twins.pop(node.id, None)
        if twin is not None:
            yield Drop((twin,))
