"""A cost model that judges a thought and the answer behind it as texts of their own, each from its first character on.

At a charge point in the thought its score counts, at one in the answer that of the answer; where the border lies
between two charge points, the worse of both. In a thought all is words: it holds no call. An answer that begins without
a thought is judged as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ig_guardrail.costs.base import FoldState, LedCost
from ig_guardrail.costs.calls.decoded import ComposedState, Scores, worst
from ig_guardrail.types import Piece, Prompt, Thought

ThoughtStep: TypeAlias = tuple[FoldState, Piece]


@dataclass(frozen=True, slots=True, eq=False)
class ThoughtState(ComposedState):
    """What a cost model knows of a thought and of the answer behind it.

    fresh    its state before any text
    thought  its state after the thought so far; None before it, and once it is over
    answer   its state after the answer so far
    heard    its states after what it was asked about the newest piece
    """

    fresh: FoldState
    answer: FoldState
    thought: FoldState | None = None
    heard: tuple[FoldState, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ThoughtfulCost(LedCost):
    """See above. judged: whether thoughts are judged; else what they say costs nothing."""

    judged: bool = True

    def start(self, prompt: Prompt) -> ThoughtState:
        begun = self.model.start(prompt)
        return ThoughtState(begun, begun)

    def advance(self, steps: Sequence[tuple[ThoughtState, Piece]]) -> list[tuple[ThoughtState, Scores]]:
        """Both parts of all pieces are asked about at once."""
        asked = [self._asked(state, piece) for state, piece in steps]
        questions = [one for parts in asked for one in parts if one is not None]
        answers = iter(self.model.advance(questions) if questions else ())
        return [self._after(state, *parts, answers) for (state, _), parts in zip(steps, asked, strict=True)]

    def _asked(self, state: ThoughtState, piece: Piece) -> tuple[ThoughtStep | None, ThoughtStep | None]:
        """What is to be asked of the thought, and of the answer; None where a piece adds nothing to it."""
        within, behind = divide(piece)
        thinks = bool(within.text or within.ids) or (state.thought is not None and within.ended)
        answers = bool(behind.text or behind.ids) or (piece.ended and not thinks)
        thought = state.fresh if state.thought is None else state.thought
        return (thought, within) if thinks and self.judged else None, (state.answer, behind) if answers else None

    def _after(
        self,
        state: ThoughtState,
        thought: ThoughtStep | None,
        answer: ThoughtStep | None,
        answers: Iterator[tuple[FoldState, Scores]],
    ) -> tuple[ThoughtState, Scores]:
        mind, said = (None if one is None else next(answers) for one in (thought, answer))
        told = [one for one in (mind, said) if one is not None]
        open_thought = mind[0] if mind is not None and thought is not None and not thought[1].ended else None
        spoken = state.answer if said is None else said[0]
        after = ThoughtState(state.fresh, spoken, open_thought, tuple(one for one, _ in told))
        return after, worst([scores for _, scores in told]) if told else (0.0,) * len(self.hazards)


def divide(piece: Piece) -> tuple[Piece, Piece]:
    """What a piece has of a thought, and of the answer behind it."""
    characters, tokens = piece.thought.characters, piece.thought.tokens
    over = piece.ended or len(piece.text) > characters or len(piece.ids) > tokens
    within = Piece(
        piece.text[:characters],
        piece.ids[:tokens],
        {layer: _rows(parts, 0, tokens) for layer, parts in piece.hidden.items()},
        ended=over,
        words=characters,
    )
    behind = replace(
        piece,
        text=piece.text[characters:],
        ids=piece.ids[tokens:],
        hidden={layer: _rows(parts, tokens, len(piece.ids)) for layer, parts in piece.hidden.items()},
        words=None if piece.words is None else max(0, piece.words - characters),
        thought=Thought(),
    )
    return within, behind


def _rows(parts: Sequence[Any], start: int, stop: int) -> tuple[Any, ...]:
    """Rows `start` to `stop` of arrays that lie one behind another."""
    found, place = [], 0
    for part in parts:
        low, high = max(start - place, 0), min(stop - place, len(part))
        found += [part[low:high]] if low < high else []
        place += len(part)
    return tuple(found)
