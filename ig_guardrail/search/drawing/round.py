"""A wide round: N rows in lanes of their own, grown a piece at a time, so that it can run beside a draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ig_guardrail.types import Draw, Extend, Node


@dataclass(slots=True)
class Round:
    """The rows of one round and how far they have come.

    homes    for each row, the node of the answer's own context that it continues
    lanes    the lane of each row
    rows     the newest node of each row; at first where it starts, which for a steered round is a twin
    steered  whether the rows grow in a twin context, and must be moved home
    grown    tokens that each row has been given room for
    """

    homes: tuple[Node, ...]
    lanes: tuple[int, ...]
    rows: list[Node]
    attempt: int
    bias: tuple[tuple[int, float], ...]
    steered: bool
    grown: int = 0
    _made: list[Node] = field(default_factory=list)

    def next(self, tokens: int) -> Extend:
        """The request that grows every unfinished row by a piece; `take` wants its reply."""
        self.grown += tokens
        growing = [(row, lane) for row, lane in zip(self.rows, self.lanes, strict=True) if row.finish is None]
        return Extend(tuple(Draw(row, 1, lane) for row, lane in growing), tokens, self.attempt, self.bias)

    def take(self, pieces: Sequence[Node]) -> None:
        """Note the rows' new pieces, in order."""
        self._made += pieces
        fresh = iter(pieces)
        self.rows = [next(fresh) if row.finish is None else row for row in self.rows]

    @property
    def ended(self) -> bool:
        """Whether no row goes on."""
        return all(row.finish is not None for row in self.rows)

    def made(self) -> tuple[Node, ...]:
        """Every node it made."""
        return tuple(self._made)

    def passed(self) -> tuple[Node, ...]:
        """Those of them that a later piece continues."""
        newest = {row.id for row in self.rows}
        return tuple(node for node in self._made if node.id not in newest)
