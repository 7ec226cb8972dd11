"""One call of a cost model, on its own thread: within its time, its scores checked, failing in our words alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.costs.base import CostModel, FoldState
from ig_guardrail.costs.workers import WorkerCall, cost_failure
from ig_guardrail.drive.runners import OutOfTime, Wait, Waiting
from ig_guardrail.drive.scoring.cost_registry import BoundCost
from ig_guardrail.errors import CostTimeout
from ig_guardrail.types import Piece, Prompt

START: FoldState = object()  # in place of a state: the one before the first answer token, which the thread asks for


@dataclass(frozen=True, slots=True)
class Fold:
    """A cost model's state after a prefix, and its scores there by hazard."""

    state: FoldState
    scores: tuple[float, ...]


def begin_scoring(
    cost: BoundCost, prompt: Prompt, steps: Sequence[tuple[FoldState, Piece]], model: CostModel | None = None
) -> WorkerCall:
    """Ask for what `advance` gives for these steps. model: the cost model as it reads here, if that is another way."""
    return cost.worker.call(_advance, model or cost.model, prompt, steps)


def await_scores(cost: BoundCost, call: WorkerCall, count: int) -> Waiting[list[Fold]]:
    """The folds of so many questions, their scores as the policy counts them.

    Raises CostFailure unless there is a state for each, with scores in [0, 1], and CostTimeout if the call takes longer
    than it may. Its time begins when it gets its turn: what others ask for before it is not its fault.
    """
    limit = cost.spec.timeout_s
    left = limit
    while left > 0:
        try:
            return _checked(cost, (yield Wait(call, left)), count)
        except OutOfTime:
            left = cost.worker.seconds_left(call, limit)
    cost.worker.abandon(call)
    raise CostTimeout(
        f"cost model '{cost.spec.name}' did not answer within {limit:g} s",
        where=f"cost_models.{cost.spec.name}",
        why="it did not answer in time, and what was not judged may not be shown",
        fix="raise its timeout_ms, or use a faster cost model",
    )


def _advance(model: CostModel, prompt: Prompt, steps: Sequence[tuple[FoldState, Piece]]) -> Any:
    return _read(model.advance([(model.start(prompt) if state is START else state, piece) for state, piece in steps]))


def _read(answers: Any) -> list[tuple[FoldState, tuple[float, ...]]] | None:
    """Answers as values; what is made only when it is read is made here, on the cost model's thread and in its time."""
    try:
        return [(state, tuple(map(_number, scores))) for state, scores in answers]
    except Exception:  # which may quote what was given
        return None


def _number(score: Any) -> float:
    """A score as a float. Raises TypeError for a text, even of digits: a cost model that gives one is broken."""
    if isinstance(score, str | bytes | bytearray):
        raise TypeError("a text is no score")
    return float(score)


def _checked(cost: BoundCost, answers: Sequence[tuple[FoldState, tuple[float, ...]]] | None, count: int) -> list[Fold]:
    name, hazards = cost.spec.name, len(cost.model.hazards)
    if answers is None:
        raise cost_failure(name, "it gave something else than a state and scores for each question")
    if len(answers) != count:
        raise cost_failure(name, f"it gave {len(answers)} answers to {count} questions")
    for _, scores in answers:
        if len(scores) != hazards:
            raise cost_failure(name, f"it gave {len(scores)} scores for {hazards} hazards")
        for score in scores:
            if not (math.isfinite(score) and 0 <= score <= 1):
                raise cost_failure(name, f"it gave {score!r}, which is not a score in [0, 1]")
    return [Fold(state, tuple(map(cost.spec.counted, scores))) for state, scores in answers]
