"""The cost-model contract: a prefix of an answer in, scores in [0, 1] out, higher is more harmful.

A cost model is a fold over the pieces between charge points. Its state is immutable, so branches of a search share the
work on their common prefix, and a prefix is scored the same however a strategy cut it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ig_guardrail.types import Granularity, Piece, Prompt, QuotedSource, ScoreKind, StateEdit

FoldState: TypeAlias = Any
GROUP = "ig_guardrail.cost_models"  # of the entry points by which a distribution offers some


@runtime_checkable
class CostModel(Protocol):
    """Declares what it reads and when; holds no state of a request.

    name           how policies and receipts call it
    sha256         content hash of artifact and options; part of the score's cache key
    hazards        hazard ids, the order of its scores
    granularity    charged at every token, at every block point, or at the end only
    reading        a level of the whole answer so far, or an event in the newest piece
    layers         hidden layers it reads; () for text only
    longest_match  characters before a charge point that a later event may reach back into; 0 if none. Characters that
                   nobody sees, and marks on letters, are not counted (see `normalisation`)
    """

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def hazards(self) -> tuple[str, ...]: ...
    @property
    def granularity(self) -> Granularity: ...
    @property
    def reading(self) -> ScoreKind: ...
    @property
    def layers(self) -> tuple[int, ...]: ...
    @property
    def longest_match(self) -> int: ...

    def start(self, prompt: Prompt) -> FoldState:
        """The state before the first answer token."""
        ...

    def advance(self, steps: Sequence[tuple[FoldState, Piece]]) -> list[tuple[FoldState, tuple[float, ...]]]:
        """For each (state, piece): the state after the piece, and one score in [0, 1] for each hazard."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LedCost:
    """A cost model that declares what another does, and leads it through the answer in a way of its own."""

    model: CostModel

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def sha256(self) -> str:
        return self.model.sha256

    @property
    def hazards(self) -> tuple[str, ...]:
        return self.model.hazards

    @property
    def granularity(self) -> Granularity:
        return self.model.granularity

    @property
    def reading(self) -> ScoreKind:
        return self.model.reading

    @property
    def layers(self) -> tuple[int, ...]:
        return self.model.layers

    @property
    def longest_match(self) -> int:
        return self.model.longest_match


@runtime_checkable
class Attributing(Protocol):
    """A cost model that can say which of its rules a score rests on."""

    def fired(self, state: FoldState) -> tuple[str | int, ...]:
        """Names, or places in the policy's list, of the rules that the score which came with `state` rests on."""
        ...


@runtime_checkable
class Weighing(Protocol):
    """A cost model that can say which words of a text its score rests on."""

    def weigh(self, text: str) -> Mapping[str, float]:
        """What each word, or run of words, of a whole text adds to the score, on a scale of its own."""
        ...


MOST_WORDS = 5  # of a cost model that weighs words


def heaviest_words(model: CostModel, text: str) -> dict[str, float]:
    """The few words of a text that raise a cost model's score most, the heaviest first; {} where it cannot say."""
    if not isinstance(model, Weighing):
        return {}
    raising = sorted(model.weigh(text).items(), key=lambda one: -one[1])[:MOST_WORDS]
    return {term: weight for term, weight in raising if weight > 0}


@runtime_checkable
class Steerable(Protocol):
    """A cost model whose score hidden states can be moved away from."""

    def descent(self) -> StateEdit:
        """The edit of hidden states that lowers its score."""
        ...


@runtime_checkable
class Sourced(Protocol):
    """A cost model that can say where what it scores stands word for word."""

    def source(self, state: FoldState) -> QuotedSource | None:
        """What the score that came with `state` rests on; None where it rests on nothing of the kind."""
        ...
