"""The safety state: what each budget of one answer has spent, and where it is charged. Pure arithmetic.

Knows nothing of tokens' text, of models, or of who asks. The gate and the search both use it, so a strategy plans with
the numbers it will be held to.

Source: arXiv 2502.01208, the remaining-budget state z' = (z - c) / gamma. Departures: c is clipped at 0, so that a
harmless opening earns nothing; z = 0 is within budget, so that `budget: 0` means "no cost at all" and not "no answer".

Numbers count as they are written: 0.1 is a tenth, so three costs of 0.1 fit a budget of 0.3. z is carried from charge
to charge, and not told from the sum of what was spent: gamma**position is less than a float can hold after some 70,000
tokens, and what is spent of the last of a budget would not be seen in the sum.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation, localcontext

from ig_guardrail.types import Budget, Charge, Granularity, Measure, ScoreKind

EXACT = Context(
    prec=50, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[InvalidOperation]
)  # whatever a program has set for itself
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """A budget, and what its cost models declare: how often it is charged; whether a score is a level or an event."""

    budget: Budget
    granularity: Granularity
    reading: ScoreKind

    @property
    def enforced(self) -> bool:
        return self.budget.mode == "enforce"


@dataclass(frozen=True, slots=True)
class Point:
    """A charge point: a position, and whether it is the end of the answer."""

    position: int
    ended: bool = False


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget's books.

    total     the discounted sum of costs so far
    peak      the highest excess charged
    left      z after `position` tokens; None before the first cost
    position  of the last cost, tokens
    """

    total: Decimal = NOTHING
    peak: Decimal = NOTHING
    left: Decimal | None = None
    position: int = 0

    @property
    def spend(self) -> float:
        """The discounted sum of costs so far."""
        return float(self.total)


@dataclass(frozen=True, slots=True)
class SafetyState:
    """The books of every budget after a prefix. Never changed: charging gives a new state."""

    accounts: Mapping[str, BudgetState] = field(default_factory=dict)

    def account(self, budget: Budget) -> BudgetState:
        return self.accounts.get(budget.id, BudgetState())


def spacing(granularity: str, every: int) -> int:
    """Tokens between two ordinary charge points; 0 where only the end is charged."""
    return {"token": 1, "block": every, "final": 0}[granularity]


def pressure(score: float, threshold: float) -> float:
    """score / threshold: 1 is at the threshold. Any score above a threshold of 0 is infinitely above it."""
    if threshold == 0:
        return float("inf") if score > 0 else 0.0
    return score / threshold


def charge_points(rule: BudgetRule, start: int, stop: int, ended: bool) -> tuple[Point, ...]:
    """The rule's charge points in the positions (start, stop], and the end itself where the answer ends at `stop`.

    An answer of n tokens, n > 0, has floor(n / every) ordinary points and one end point, however it was cut into
    blocks: if `stop` is both, it is two points.
    """
    step = spacing(rule.granularity, rule.budget.every)
    ordinary = range((start // step + 1) * step, stop + 1, step) if step else ()
    points = tuple(Point(position) for position in ordinary)
    return (*points, Point(stop, ended=True)) if ended and stop > 0 else points


def last_point(rule: BudgetRule, position: int) -> int:
    """The last position at or before `position` where the rule is charged in an answer that goes on; 0 if none."""
    step = spacing(rule.granularity, rule.budget.every)
    return position - position % step if step else 0


def next_point(rule: BudgetRule, position: int) -> int:
    """The first position at or after `position` where the rule is charged in an answer that goes on; 0 if none."""
    step = spacing(rule.granularity, rule.budget.every)
    return -(-position // step) * step if step else 0


def charge(rule: BudgetRule, account: BudgetState, position: int, score: float) -> tuple[BudgetState, float]:
    """The account after one score in [0, 1] at a charge point, and the undiscounted cost c >= 0 that it added."""
    budget = rule.budget
    with localcontext(EXACT):
        excess = max(NOTHING, exact(score) - exact(budget.threshold))
        rises_only = rule.reading == "level" and budget.accumulate == "max"
        cost = exact(budget.weight) * (max(NOTHING, excess - account.peak) if rises_only else excess)
        if not cost:
            return account, 0.0
        gamma = exact(budget.discount)
        total = account.total + gamma ** (position - 1) * cost
        left = _left(budget, account, position) - cost / gamma
        return BudgetState(total, max(account.peak, excess), left, position), float(cost)


def remaining(budget: Budget, account: BudgetState, position: int) -> float:
    """z after `position` tokens: gamma^t z = d - spend. Below 0 is over budget, and stays so.

    At most the greatest float there is, and below 0 however little is overdrawn.
    """
    with localcontext(EXACT):
        left = _left(budget, account, position)
    return min(float(left), sys.float_info.max) if left >= 0 else min(float(left), -math.ulp(0.0))


def exact(number: float | Decimal) -> Decimal:
    """A number as it is written: 0.1 is a tenth."""
    if isinstance(number, Decimal):
        return number
    whole = float(number).is_integer()
    return Decimal(int(number)) if whole else Decimal(repr(float(number)))


def affords(granted: float, spent: Decimal) -> bool:
    """Whether so much may be spent of what was granted. What lies below the last digit of a float is nobody's money."""
    return float(spent) <= granted


def _left(budget: Budget, account: BudgetState, position: int) -> Decimal:
    """z after `position` tokens, from where it was last told. Under the context EXACT."""
    last = exact(budget.budget) - account.total if account.left is None else account.left
    return last / exact(budget.discount) ** (position - account.position)


def settle(
    rules: Sequence[BudgetRule], state: SafetyState, measures: Sequence[Measure]
) -> tuple[SafetyState, tuple[Charge, ...]]:
    """Charge measures in the order of their charge points; the new state and one line for each."""
    books = dict(state.accounts)
    by_id = {rule.budget.id: rule for rule in rules}
    lines = []
    for measure in sorted(measures, key=lambda one: (one.position, one.ended)):
        rule = by_id[measure.budget]
        before = books.get(measure.budget, BudgetState())
        after, cost = charge(rule, before, measure.position, measure.score)
        books[measure.budget] = after
        lines.append(
            Charge(
                budget=measure.budget,
                position=measure.position,
                ended=measure.ended,
                score=measure.score,
                cost=cost,
                z_before=remaining(rule.budget, before, measure.position - 1),
                z_after=remaining(rule.budget, after, measure.position),
                raw=measure.raw,
                fired=measure.fired,
            )
        )
    return SafetyState(books), tuple(lines)
