"""What cost models read of an answer, and what they say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ig_guardrail.types.conversation import Role
from ig_guardrail.types.tree import Thought

Granularity: TypeAlias = Literal["token", "block", "final"]

ScoreKind: TypeAlias = Literal["level", "event"]


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of an answer between two charge points, as a cost model reads it.

    text    characters that became known in this piece
    ids     its tokens; empty when an answer ends exactly on a charge point
    hidden  layer -> arrays (tokens, hidden size) that stack to len(ids) rows
    ended   whether the answer ends with it
    words   how many characters of `text` are words for certain, and the rest calls; None: markers in it tell
    json    whether the answer's words are JSON for certain
    role    whose turn it is of: the assistant's, or one of the input that is checked by itself
    thought  how much of `text` and of `ids` is the model's thought, which stands before the answer
    """

    text: str
    ids: tuple[int, ...] = ()
    hidden: Mapping[int, tuple[Any, ...]] = field(default_factory=dict)
    ended: bool = False
    words: int | None = None
    json: bool = False
    role: Role = "assistant"
    thought: Thought = field(default_factory=Thought)


@dataclass(frozen=True, slots=True)
class QuotedSource:
    """Where in a document of a corpus a text stands word for word: from character `start` up to `stop`."""

    document: str
    start: int
    stop: int

    def joined(self, other: QuotedSource) -> QuotedSource:
        """Both as one where they touch or overlap; else this one."""
        apart = self.document != other.document or other.start > self.stop or other.stop < self.start
        return self if apart else QuotedSource(self.document, min(self.start, other.start), max(self.stop, other.stop))


@dataclass(frozen=True, slots=True)
class Measure:
    """One budget's score at one charge point, and the raw scores of the cost models behind it.

    `ended` marks the charge point at the end of an answer, which is a point of its own even where an ordinary one
    falls on the same position. `fired` names, by cost model, the rules that raw scores rest on, where one can say.
    `hazards` are those of the budget that a score above its threshold rests on.
    """

    budget: str
    position: int
    ended: bool
    score: float
    raw: Mapping[str, float] = field(default_factory=dict)
    fired: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    hazards: tuple[str, ...] = ()
