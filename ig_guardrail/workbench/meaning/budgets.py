"""What one budget allows, in fractions: how far it can be spent, and what scores overdraw it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ig_guardrail.budget import BudgetRule, spacing
from ig_guardrail.policy.ranges import SCORES, as_written, range_of
from ig_guardrail.types import Expression

MOST_POINTS = 10_000  # charge points that are counted one by one


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget over sources: `cost` is its expression, with each cost model as the highest of what is heard of it.

    events  whether one of its cost models scores pieces, and not the answer so far
    """

    rule: BudgetRule
    cost: Expression
    events: bool = False

    @property
    def id(self) -> str:
        return self.rule.budget.id

    @property
    def threshold(self) -> Fraction:
        return as_written(self.rule.budget.threshold)

    @property
    def weight(self) -> Fraction:
        return as_written(self.rule.budget.weight)

    @property
    def granted(self) -> Fraction:
        return as_written(self.rule.budget.budget)

    @property
    def allowance(self) -> Fraction:
        """How much excess it allows in all."""
        return self.granted / self.weight

    @property
    def discount(self) -> Fraction:
        return as_written(self.rule.budget.discount)

    @property
    def step(self) -> int:
        """Tokens between two ordinary charge points; 0 where only the end is charged."""
        return spacing(self.rule.granularity, self.rule.budget.every)

    @property
    def rises_only(self) -> bool:
        """Whether an answer is charged for its highest excess, and not at each charge point."""
        return self.rule.reading == "level" and self.rule.budget.accumulate == "max"

    @property
    def spans(self) -> bool:
        """Whether several answers share it."""
        return self.rule.budget.scope != "response"

    @property
    def forgets(self) -> bool:
        return self.spans and (self.rule.budget.decay < 1 or self.rule.budget.window > 0)

    @property
    def highest(self) -> Fraction:
        """The highest score it can be given."""
        return range_of(self.cost, dict.fromkeys(self.cost.models(), SCORES)).score.high

    @property
    def cap(self) -> Fraction | None:
        """The score that no charge point may pass, where that is all that it says; else None."""
        if not self.granted:
            return self.threshold
        alone = self.rises_only and self.discount == 1 and not self.spans
        return self.threshold + self.allowance if alone else None

    @property
    def at_once(self) -> Fraction | None:
        """The score that no charge point may pass, whatever else was scored; None where that depends on its place."""
        return self.threshold + self.allowance if self.discount == 1 or not self.granted else None


@dataclass(frozen=True, slots=True)
class MostCost:
    """The most that an answer can cost; None: there is no most. reached: else answers only come close to it."""

    cost: Fraction | None
    reached: bool = True


def most_cost(line: BudgetLine, score: Fraction) -> MostCost:
    """Of one answer, however long, that scores at most so much.

    An answer that ends at its first token is charged there, without a discount.
    """
    highest = line.weight * max(Fraction(0), score - line.threshold)
    if not highest or line.rises_only or not line.step:
        return MostCost(highest)
    if line.discount == 1:
        return MostCost(None)
    first, between = line.discount ** (line.step - 1), line.discount**line.step
    reached = max(Fraction(1), 2 * first)  # an answer of one token; one that ends on its first ordinary charge point
    limit = first / (1 - between)
    return MostCost(highest * max(reached, limit), reached >= limit)


def can_be_overdrawn(line: BudgetLine, score: Fraction) -> bool:
    """Whether scores up to this one can overdraw it: in one answer, or in all the answers that share it."""
    most = most_cost(line, score)
    if most.cost is None or not line.spans:
        return most.cost is None or most.cost > line.granted
    decay, window = as_written(line.rule.budget.decay), line.rule.budget.window
    if decay == 1:
        return bool(most.cost) if not window else most.cost * window > line.granted
    turns = (1 - decay**window if window else Fraction(1)) / (1 - decay)
    return most.cost * turns > line.granted


def points_to_overdraw(line: BudgetLine, score: Fraction) -> int | None:
    """At how many charge points, one after the other, a score overdraws it; None: at none, or at too many to count.

    Where answers that share it are charged for their highest score alone: in how many answers.
    """
    excess = score - line.threshold
    if excess <= 0 or line.forgets:
        return None
    if line.rises_only and not line.spans:
        return 1 if excess > line.allowance else None
    if line.discount == 1:
        return int(line.allowance / excess) + 1
    spent = Fraction(0)
    for count in range(1, MOST_POINTS):
        spent += line.discount ** max(0, line.step * count - 1) * excess
        if spent > line.allowance:
            return count
        if not line.step:
            break
    return None
