"""Tells an answer while it is decoded: drafts that are over budget, the account, and what stands in a draft's place.

The gate alone releases. Without `show_drafts` nothing that it did not release is told, but for scores and positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeAlias

from ig_guardrail.drive.observer import Progress
from ig_guardrail.types import Charge, Node

Frame: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was committed, where it begins, and the drafts that it replaced."""

    node: Node
    position: int
    characters: int
    replaced: tuple[int, ...]


class Watcher:
    """An observer of one answer, who tells frames of a page."""

    def __init__(self, tell: Callable[[Frame], None], drafts: bool) -> None:
        """drafts: whether the text of drafts is told, which was never released"""
        self._tell, self._drafts = tell, drafts
        self._account: tuple[Charge, ...] = ()
        self._blocks: list[Block] = []
        self._told = 0  # blocks of which it was told what stands there
        self._known: dict[tuple[int, ...], int] = {}  # drafts that were told, by their tokens
        self._over: dict[int, None] = {}  # of these, those since the last block, in order

    def judged(self, draft: Node, charges: Sequence[Charge], within: bool) -> None:
        """A draft that is over budget is told once, and so are the same words in another one."""
        if within:
            return
        words = draft.answer_ids()
        told = words in self._known
        self._over[self._known.setdefault(words, draft.id)] = None
        if told:
            return
        overdrawn = [line for line in charges if line.z_after < 0]
        text, position = self._behind_what_stands(draft)
        frame = {
            "type": "denied",
            "id": draft.id,
            "from": position,
            "position": draft.position,
            "by": [_charge(line) for line in {line.budget: line for line in reversed(overdrawn)}.values()],
        }
        self._tell({**frame, "text": text} if self._drafts else frame)

    def _behind_what_stands(self, draft: Node) -> tuple[str, int]:
        """What a draft adds to the blocks that it goes on from, and where it begins. It may have grown in a twin."""
        text = draft.text[: draft.visible]
        for block in reversed(self._blocks):
            stands = block.node.text[: block.node.visible]
            if text.startswith(stands):
                return text.removeprefix(stands), block.node.position
        return text, 0

    def accepted(self, block: Node, progress: Progress) -> None:
        """The account is told as far as it changed; a block once all of it is shown."""
        line = set(block.ancestors())
        kept = list(takewhile(lambda one: one.node in line, self._blocks))
        replaced = [*(draft for one in self._blocks[len(kept) :] for draft in one.replaced), *self._over]
        last = kept[-1].node if kept else None
        begun = (last.position, last.visible) if last is not None else (0, 0)
        self._blocks = [*kept, Block(block, *begun, tuple(replaced))]
        self._over = {}
        self._tell_account(block, progress)
        self._told = min(self._told, len(kept))
        while self._told < len(self._blocks) and self._blocks[self._told].node.visible <= progress.end:
            self._tell_block(self._blocks[self._told], progress.given)
            self._told += 1

    def _tell_account(self, block: Node, progress: Progress) -> None:
        pairs = zip(self._account, progress.charges, strict=False)
        keep = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))
        self._account = progress.charges
        self._tell(
            {
                "type": "account",
                "keep": keep,
                "add": [_charge(line) for line in progress.charges[keep:]],
                "position": block.position,
                "held": max(0, block.position - progress.released),
            }
        )

    def _tell_block(self, block: Block, given: int) -> None:
        if block.replaced:
            text = block.node.text[max(given, block.characters) : block.node.visible]
            place = {"from": block.position, "position": block.node.position}
            self._tell({"type": "block", **place, "text": text, "replaced": list(block.replaced)})


def _charge(line: Charge) -> dict[str, Any]:
    return {
        "budget": line.budget,
        "position": line.position,
        "end": line.ended,
        "score": line.score,
        "scores": dict(line.raw),
        "cost": line.cost,
        "left": line.z_after,
    }
