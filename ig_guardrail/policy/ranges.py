"""Which values a cost expression can have, counted exactly: 0.1 is a tenth, as in budgets.

Every operation of an expression only grows with each of its parts, and none makes a jump. So the lowest value is that
of the lowest scores, the highest that of the highest, and every value between them is taken: the range is no estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Final

from ig_guardrail.budget import exact
from ig_guardrail.types import Expression


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers from `low` to `high`, both among them."""

    low: Fraction
    high: Fraction

    @property
    def score(self) -> Interval:
        """The same as a budget reads it: a score is cut to 0 and 1."""
        low, high = (min(Fraction(1), max(Fraction(0), end)) for end in (self.low, self.high))
        return Interval(low, high)


SILENT: Final = Interval(Fraction(0), Fraction(0))  # of a cost model that scores nothing of what is asked
SCORES: Final = Interval(Fraction(0), Fraction(1))  # of a cost model


def counting(own: float, counts: float) -> Interval:
    """The scores of a cost model whose score `own` counts as `counts`: 1 stays 1, unless it is `own`."""
    return Interval(Fraction(0), as_written(counts) if own == 1 else Fraction(1))


def range_of(expression: Expression, ranges: Mapping[str, Interval]) -> Interval:
    """The values of an expression, not yet cut to 0 and 1; `ranges` has those of each cost model in it, 0 or above."""
    lows = {name: one.low for name, one in ranges.items()}
    highs = {name: one.high for name, one in ranges.items()}
    return Interval(value_of(expression, lows), value_of(expression, highs))


def value_of(expression: Expression, scores: Mapping[str, Fraction]) -> Fraction:
    """The value of an expression, not cut to 0 and 1, given the score of each cost model in it."""
    if expression.op == "model":
        return scores[expression.model]
    if expression.op == "number":
        return as_written(expression.number)
    values = [value_of(arg, scores) for arg in expression.args]
    match expression.op:
        case "add":
            return sum(values, Fraction(0))
        case "multiply":
            return prod(values, start=Fraction(1))
        case "mean":
            return sum(values, Fraction(0)) / len(values)
        case "max":
            return max(values)
        case "min":
            return min(values)


def as_written(number: float) -> Fraction:
    """A number of a policy as it is written: 0.1 is a tenth."""
    return Fraction(exact(number))
