"""How high one cost expression can score where others keep their limits: exact, over all scores from 0 to 1.

An expression is brought into the form of a highest of lowest of linear forms (or the other way round), each choice of
which is a linear programme, solved in fractions. What has too many choices is not decided: `TooManyParts`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal, TypeAlias, TypeVar

from ig_guardrail.policy.ranges import as_written
from ig_guardrail.types import Expression

LinearCost: TypeAlias = Mapping[str, Fraction]  # the weight of each source; of "" what stands alone
ScoreVector: TypeAlias = Mapping[str, Fraction]

T = TypeVar("T")

ALONE: Final = ""
GOAL: Final = " "  # no source is called so
MOST_FORMS = 400
MOST_CHOICES = 400
SHIFT = Fraction(10**7)  # more than two expressions can lie apart


class TooManyParts(Exception):
    """An expression has more choices than are looked through."""


def highest(
    goal: Expression, limits: Sequence[tuple[Expression, Fraction]], whole: Collection[str] = ()
) -> tuple[Fraction, ScoreVector] | None:
    """The highest score of `goal`, at most 1, where each other expression scores at most its limit, and where that is.

    None where no scores keep the limits. whole: sources that score 0 or 1 and nothing between. Raises TooLarge.
    """
    kept = [(one, limit) for one, limit in limits if limit < 1]
    found = [
        _solved([{**form, GOAL: Fraction(-1)} for form in group], forms, given)
        for group in _forms(goal, "max")
        for given in _settings(whole, goal, *(one for one, _ in kept))
        for forms in _choices([[_below(side, limit) for side in _forms(one, "min")] for one, limit in kept])
    ]
    return max((one for one in found if one is not None), key=lambda one: one[0], default=None)


def gap(goal: Expression, other: Expression) -> Fraction:
    """How far `goal` can score above `other`, at most; 0 or less where it never does. Raises TooLarge."""
    forms = [
        [_minus(high, low) for high in group for low in side]
        for group in _forms(goal, "max")
        for side in _forms(other, "min")
    ]
    shifted = [
        [{**one, ALONE: one.get(ALONE, Fraction(0)) + SHIFT, GOAL: Fraction(-1)} for one in all] for all in forms
    ]
    found = [_solved(group, [], {}, top=2 * SHIFT) for group in shifted]
    return max(one[0] for one in found if one is not None) - SHIFT


def _forms(expression: Expression, outer: Literal["max", "min"]) -> list[list[LinearCost]]:
    """Groups of linear forms: the expression is the `outer` of what each group comes to by the other operation."""
    match expression.op:
        case "model":
            return [[{expression.model: Fraction(1)}]]
        case "number":
            return [[{ALONE: as_written(expression.number)}]]
        case "max" | "min" if expression.op == outer:
            return _bounded([group for arg in expression.args for group in _forms(arg, outer)])
        case "max" | "min":
            sides = (_forms(arg, outer) for arg in expression.args)
            return _bounded([list(itertools.chain(*groups)) for groups in _choices(list(sides))])
        case "add" | "mean":
            share = Fraction(1, len(expression.args)) if expression.op == "mean" else Fraction(1)
            return [
                [_times(form, share) for form in group] for group in _sum([_forms(a, outer) for a in expression.args])
            ]
        case "multiply":
            return _product([_forms(arg, outer) for arg in expression.args])


def _sum(sides: Sequence[list[list[LinearCost]]]) -> list[list[LinearCost]]:
    return _bounded([[_plus(*forms) for forms in _choices(list(groups))] for groups in _choices(list(sides))])


def _product(sides: Sequence[list[list[LinearCost]]]) -> list[list[LinearCost]]:
    """At most one of the factors names cost models, and the others are numbers."""
    numbers = [_number(side) for side in sides]
    factor = Fraction(1)
    for number in numbers:
        factor *= Fraction(1) if number is None else number
    scored = [side for side, number in zip(sides, numbers, strict=True) if number is None]
    if len(scored) > 1:
        raise TooManyParts("cost models are multiplied with each other")
    return [[_times(form, factor) for form in group] for group in (scored[0] if scored else [[{ALONE: Fraction(1)}]])]


def _number(groups: list[list[LinearCost]]) -> Fraction | None:
    ((form, *more), *others) = groups
    return form[ALONE] if not more and not others and form.keys() == {ALONE} else None


def _choices(sides: Sequence[Sequence[T]]) -> list[tuple[T, ...]]:
    count = 1
    for side in sides:
        count *= len(side)
    if count > MOST_CHOICES:
        raise TooManyParts(f"its expressions have {count} choices")
    return list(itertools.product(*sides))


def _bounded(groups: list[list[LinearCost]]) -> list[list[LinearCost]]:
    if sum(map(len, groups)) > MOST_FORMS:
        raise TooManyParts("an expression has too many forms")
    return groups


def _plus(*forms: LinearCost) -> LinearCost:
    names = dict.fromkeys(name for form in forms for name in form)
    return {name: sum((form.get(name, Fraction(0)) for form in forms), Fraction(0)) for name in names}


def _times(form: LinearCost, factor: Fraction) -> LinearCost:
    return {name: weight * factor for name, weight in form.items()}


def _minus(high: LinearCost, low: LinearCost) -> LinearCost:
    return _plus(high, _times(low, Fraction(-1)))


def _below(forms: Sequence[LinearCost], limit: Fraction) -> list[LinearCost]:
    """Rows `limit - form >= 0`."""
    return [_minus({ALONE: limit}, form) for form in forms]


def _settings(whole: Collection[str], *expressions: Expression) -> list[ScoreVector]:
    """Every way to score the sources that score nothing between 0 and 1."""
    named = dict.fromkeys(name for one in expressions for name in one.models() if name in whole)
    values = _choices([(Fraction(0), Fraction(1))] * len(named))
    return [dict(zip(named, one, strict=True)) for one in values]


def _solved(
    goal: Sequence[LinearCost], limits: Sequence[Sequence[LinearCost]], given: ScoreVector, top: Fraction = Fraction(1)
) -> tuple[Fraction, ScoreVector] | None:
    """The highest goal, at most `top`, where every form is 0 or more; None where no scores make it so."""
    rows = [_given(form, given) for form in (*goal, *itertools.chain(*limits))]
    names = list(dict.fromkeys(name for row in rows for name in row if name not in (ALONE, GOAL)))
    columns = [*names, GOAL]
    rows += [{ALONE: Fraction(1), name: Fraction(-1)} for name in names] + [{ALONE: top, GOAL: Fraction(-1)}]
    if any(row.get(ALONE, Fraction(0)) < 0 for row in rows):
        return None
    table = [([-row.get(name, Fraction(0)) for name in columns], row.get(ALONE, Fraction(0))) for row in rows]
    values = maximise(table, len(names))
    return values[-1], {**dict(zip(names, values[:-1], strict=True)), **given}


def _given(form: LinearCost, given: ScoreVector) -> LinearCost:
    """A form with some of its sources at what they score."""
    alone = form.get(ALONE, Fraction(0)) + sum(
        (form[name] * given[name] for name in form if name in given), Fraction(0)
    )
    return {ALONE: alone, **{name: weight for name, weight in form.items() if name not in (*given, ALONE)}}


def maximise(rows: Sequence[tuple[Sequence[Fraction], Fraction]], goal: int) -> list[Fraction]:
    """The x >= 0 with the greatest x[goal] where `coefficients . x <= bound` in each row. Every bound is 0 or more.

    The simplex method with Bland's rule, which ends; x[goal] must be bounded by the rows.
    """
    width = len(rows[0][0])
    count = len(rows)
    table = [[*row, *(Fraction(i == j) for j in range(count)), bound] for i, (row, bound) in enumerate(rows)]
    price = [Fraction(-(j == goal)) for j in range(width + count)] + [Fraction(0)]
    basis = list(range(width, width + count))
    while (enter := next((j for j in range(width + count) if price[j] < 0), None)) is not None:
        ratios = [(row[-1] / row[enter], basis[i], i) for i, row in enumerate(table) if row[enter] > 0]
        *_, leave = min(ratios)
        table[leave] = [value / table[leave][enter] for value in table[leave]]
        for i, row in enumerate(table):
            if i != leave and row[enter]:
                table[i] = _reduced(row, table[leave], enter)
        price = _reduced(price, table[leave], enter)
        basis[leave] = enter
    values = dict(zip(basis, (row[-1] for row in table), strict=True))
    return [values.get(column, Fraction(0)) for column in range(width)]


def _reduced(row: Sequence[Fraction], pivot: Sequence[Fraction], column: int) -> list[Fraction]:
    return [value - row[column] * other for value, other in zip(row, pivot, strict=True)]
