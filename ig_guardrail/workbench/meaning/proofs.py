"""Proofs that a budget denies nothing that others do not deny as well. In fractions, for answers of any length.

Each is sound for whatever the sources score, however they hang together. Together they decide every case in which the
budgets count without a discount and scores of several charge points need not be weighed against each other in more
than one budget; where they do not, nothing is said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction

from ig_guardrail.policy.ranges import as_written, value_of
from ig_guardrail.types import Expression
from ig_guardrail.workbench.meaning.budgets import BudgetLine, can_be_overdrawn
from ig_guardrail.workbench.meaning.linear import gap, highest


def implied(line: BudgetLine, others: Sequence[BudgetLine], whole: Collection[str]) -> bool:
    """Whether every answer that the others let through, this budget lets through. Raises TooLarge.

    Earlier answers that were given elsewhere are charged to shared budgets alone, so no others let none through.

    whole: sources that score 0 or 1.
    """
    if not can_be_overdrawn(line, line.highest):
        return True
    charged = [one for one in others if one.spans or not line.spans]
    seeing = [one for one in charged if sees_all_of(one, line, whole)]
    if any(spends_as_much(one, line) for one in seeing):
        return True
    top = _top(line, seeing, whole)
    return not can_be_overdrawn(line, top) or any(_used_up_first(one, line, top, whole) for one in seeing)


def sees_all_of(other: BudgetLine, line: BudgetLine, whole: Collection[str]) -> bool:
    """Whether each charge point of a budget is one of the other's, with the same score of each source."""
    own, of_line = other.rule.budget, line.rule.budget
    if "tool" in (own.scope, of_line.scope) and (own.scope, own.tool) != (of_line.scope, of_line.tool):
        return False
    if (other.events or line.events) and other.step != line.step:
        return all(one.step and not one.granted and _any_match(one.cost, whole) for one in (other, line))
    return other.step == line.step or (other.step > 0 and line.step % other.step == 0)


def _any_match(cost: Expression, whole: Collection[str]) -> bool:
    """Whether an expression scores where any of some patterns matches: then it does not matter how pieces are cut."""
    return (
        cost.model in whole if cost.op == "model" else cost.op == "max" and all(_any_match(a, whole) for a in cost.args)
    )


def spends_as_much(other: BudgetLine, line: BudgetLine) -> bool:
    """Whether the other's share that is spent is at least as large, whatever is scored."""
    return (
        other.threshold <= line.threshold
        and other.allowance <= line.allowance
        and other.discount >= line.discount
        and adds_up_as_often(other, line)
        and _scores_as_much(other.cost, line.cost)
    )


def _scores_as_much(cost: Expression, other: Expression) -> bool:
    """Whether an expression never scores below the other; what that alone names tells most of them apart at once."""
    if cost == other:
        return True
    alone = {name: Fraction(name not in cost.models()) for name in (*cost.models(), *other.models())}
    return value_of(other, alone) <= value_of(cost, alone) and gap(other, cost) <= 0


def adds_up_as_often(other: BudgetLine, line: BudgetLine) -> bool:
    """Whether whatever costs of a line are added to each other are in the other one, too."""
    if other.rises_only and not line.rises_only:
        return False
    if not line.spans or other.rule.budget.scope == line.rule.budget.scope:
        return not line.spans or _remembers(other, line)
    scopes = (line.rule.budget.scope, other.rule.budget.scope)
    return scopes == ("conversation", "tenant") and not other.forgets


def _remembers(other: BudgetLine, line: BudgetLine) -> bool:
    """Whether the other forgets no more, where both are shared by the same answers."""
    own, of_line = other.rule.budget, line.rule.budget
    longer = own.window == 0 or 0 < of_line.window <= own.window
    return longer and as_written(own.decay) >= as_written(of_line.decay)


def _used_up_first(other: BudgetLine, line: BudgetLine, top: Fraction, whole: Collection[str]) -> bool:
    """Whether the other is overdrawn before the line is, of the same expression, where costs add up in both.

    top: what a charge point may score at most

    What is allowed in the other is worth most to the line in portions as large as `top` allows, and one smaller one:
    a portion x of it is max(0, x + difference of the thresholds) of the line, which is convex.
    """
    comparable = other.discount == line.discount == 1 and not line.forgets and adds_up_as_often(other, line)
    if not comparable or other.cost != line.cost or other.threshold > line.threshold:
        return False
    largest = top - other.threshold
    count = int(other.allowance / largest)
    rest = Fraction(0) if line.cost.model in whole else other.allowance - count * largest
    spent = count * (top - line.threshold) + max(Fraction(0), other.threshold + rest - line.threshold)
    return spent <= line.allowance


def _top(line: BudgetLine, others: Sequence[BudgetLine], whole: Collection[str]) -> Fraction:
    """The highest score that the others let through at a single charge point."""
    limits = [(one.cost, one.at_once) for one in others if one.at_once is not None]
    found = highest(line.cost, limits, whole)
    return Fraction(0) if found is None else found[0]
