"""One call of a cost model, on its own thread: within its time, and never failing but in our words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ig_guardrail.costs.base import CostModel, FoldState
from ig_guardrail.costs.workers import WorkerCall
from ig_guardrail.drive.runners import OutOfTime, Wait, Waiting
from ig_guardrail.drive.scoring.cost_registry import BoundCost
from ig_guardrail.errors import CostTimeout
from ig_guardrail.types import Piece, Prompt

START: FoldState = object()  # in place of a state: the one before the first answer token, which the thread asks for


def begin_scoring(
    cost: BoundCost, prompt: Prompt, steps: Sequence[tuple[FoldState, Piece]], model: CostModel | None = None
) -> WorkerCall:
    """Ask for what `advance` gives for these steps. model: the cost model as it reads here, if that is another way."""
    return cost.worker.call(_advance, model or cost.model, prompt, steps)


def await_scores(cost: BoundCost, call: WorkerCall) -> Waiting[Sequence[tuple[FoldState, tuple[float, ...]]] | None]:
    """A state and scores for each question, None if it gave something else; their number and range are not checked.

    Raises CostFailure, and CostTimeout if the call takes longer than it may.

    Its time begins when it gets its turn: what others ask for before it is not its fault.
    """
    limit = cost.spec.timeout_s
    left = limit
    while left > 0:
        try:
            answers: Sequence[tuple[FoldState, tuple[float, ...]]] | None = yield Wait(call, left)
            return answers
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
