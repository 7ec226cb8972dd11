"""Joins scores of cost models into the one score of a budget. What is not a number in [0, 1] is never hidden."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Expression

_OPERATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "mean": lambda values: math.fsum(values) / len(values),
    "add": math.fsum,
    "multiply": math.prod,
}


def evaluate(expression: Expression, scores: Mapping[str, float]) -> float:
    """The value of a cost expression, clipped to [0, 1]; NaN if any score in it is NaN or outside [0, 1].

    `scores` has one number for each cost model of the expression; CostFailure if one is missing.
    """
    value = _value(expression, scores)
    return value if math.isnan(value) else min(1.0, max(0.0, value))


def pick(model_hazards: Sequence[str], scores: Sequence[float], budget_hazards: Sequence[str]) -> float:
    """A cost model's score for a budget: the highest over the hazards both name, NaN if one of these is.

    0 if they have no hazard in common. Raises CostFailure unless there is one score a hazard.
    """
    if len(model_hazards) != len(scores):
        raise CostFailure(f"{len(scores)} scores were given for {len(model_hazards)} hazards", where="cost model")
    shared = [score for hazard, score in zip(model_hazards, scores, strict=True) if hazard in budget_hazards]
    return _joined(max, shared) if shared else 0.0


def hazards_behind(
    expression: Expression,
    scores: Mapping[str, Mapping[str, float]],
    budget_hazards: Sequence[str],
    threshold: float,
) -> tuple[str, ...]:
    """The hazards of a budget that a score above its threshold rests on.

    They are those that would be above it alone; where none is, as in a sum, all that a cost model scores above 0.

    scores: of each cost model of the expression, by hazard
    """
    heard = [hazard for hazard in budget_hazards if any(own.get(hazard, 0.0) > 0 for own in scores.values())]
    alone = [
        hazard
        for hazard in heard
        if evaluate(expression, {name: own.get(hazard, 0.0) for name, own in scores.items()}) > threshold
    ]
    return tuple(alone or heard)


def _value(expression: Expression, scores: Mapping[str, float]) -> float:
    if expression.op == "number":
        return expression.number
    if expression.op == "model":
        return _score(expression.model, scores)
    return _joined(_OPERATIONS[expression.op], [_value(arg, scores) for arg in expression.args])


def _score(model: str, scores: Mapping[str, float]) -> float:
    if model not in scores:
        raise CostFailure(
            f"there is no score of cost model '{model}'",
            where="cost expression",
            why=f"scores are at hand of: {', '.join(scores) or 'none'}",
        )
    score = scores[model]
    return score if 0 <= score <= 1 else math.nan


def _joined(operation: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    """`max` and `min` of Python may pass a NaN over, so it is looked for first."""
    return math.nan if any(math.isnan(value) for value in values) else operation(values)
