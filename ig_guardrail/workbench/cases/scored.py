"""Cost models that say what was recorded, so that a case runs where the model that was asked is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ig_guardrail.costs.base import FoldState, LedCost
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.errors import CostFailure
from ig_guardrail.types import CostModelSpec, Granularity, Piece, Prompt, Role, ScoreKind

RecordedScores: TypeAlias = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as far as a cost model has read it, and how it was asked about the last piece.

    asked  how often it was asked
    start  characters before the last piece
    ended  whether the text ends with it
    """

    text: str = ""
    asked: int = 0
    start: int = 0
    ended: bool = False
    role: Role = "assistant"

    def read(self, piece: Piece) -> Reading:
        """The text with a further piece."""
        return Reading(self.text + piece.text, self.asked + 1, len(self.text), piece.ended, piece.role)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCost:
    """A cost model whose scores are looked up. Its declarations are those of the model that gave them."""

    name: str
    hazards: tuple[str, ...]
    lookup: Callable[[Reading], RecordedScores]
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    longest_match: int = 0
    layers: tuple[int, ...] = ()
    sha256: str = options_sha256("recorded")

    def start(self, prompt: Prompt) -> Reading:
        return Reading()

    def advance(self, steps: Sequence[tuple[Reading, Piece]]) -> list[tuple[Reading, RecordedScores]]:
        read = [state.read(piece) for state, piece in steps]
        return [(state, self.lookup(state)) for state in read]


def given(spec: CostModelSpec, scores: Sequence[float]) -> ScoredCost:
    """A cost model that gives these scores in turn, one a charge point; one alone at every charge point."""

    def lookup(reading: Reading) -> RecordedScores:
        if len(scores) == 1:
            return (scores[0],) * len(spec.hazards)
        if reading.asked > len(scores):
            raise NotRecorded(
                f"the case gives {len(scores)} scores of `{spec.name}`, and it is asked more often",
                where="scores",
                fix="give one score for each charge point",
            )
        return (scores[reading.asked - 1],) * len(spec.hazards)

    return ScoredCost(spec.name, spec.hazards, lookup)


@dataclass(frozen=True, slots=True, eq=False)
class HeardCost(LedCost):
    """A cost model, and somebody who is told what it says of what."""

    tell: Callable[[Reading, RecordedScores], None]

    def start(self, prompt: Prompt) -> tuple[FoldState, Reading]:
        return self.model.start(prompt), Reading()

    def advance(
        self, steps: Sequence[tuple[tuple[FoldState, Reading], Piece]]
    ) -> list[tuple[tuple[FoldState, Reading], RecordedScores]]:
        answers = self.model.advance([(state, piece) for (state, _), piece in steps])
        found = []
        for ((_, before), piece), (state, scores) in zip(steps, answers, strict=True):
            after = before.read(piece)
            self.tell(after, scores)
            found.append(((state, after), scores))
        return found


class NotRecorded(CostFailure):
    """A score that was never written down. It says nothing of the policy, so it is no outcome of a case."""


def standing_in(spec: CostModelSpec, scale: tuple[float, float] | None = None) -> CostModelSpec:
    """An entry whose scores are looked up: they count as they are, or by a scale; a missing one is never skipped."""
    return replace(spec, scale=scale, on_error="closed")
