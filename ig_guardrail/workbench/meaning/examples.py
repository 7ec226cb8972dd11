"""Examples of answers that one policy shows and another denies: made up in fractions, and then run.

What is given back was seen: the gate let it through under the one, and denied it under the other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ig_guardrail.policy.ranges import value_of
from ig_guardrail.types import Expression
from ig_guardrail.workbench.meaning.budgets import BudgetLine
from ig_guardrail.workbench.meaning.linear import ScoreVector, TooManyParts, highest
from ig_guardrail.workbench.meaning.proofs import adds_up_as_often
from ig_guardrail.workbench.meaning.trials import MadeUpAnswer, Moment, TrialOutcome, run

MOST_MOMENTS = 400
MOST_WORK = 20_000  # charge points of all answers that are tried for one budget
DIGITS = (1, 2, 3, 4, 6, 9, 12, 15)  # of the scores, fewest first
SMALL = (Fraction(1, 2), Fraction(1, 5), Fraction(1, 20))
NONE = Fraction(0)


@dataclass(frozen=True, slots=True)
class Example:
    """Answers, and what became of them under the policy that shows them and under the one that denies the last."""

    answers: tuple[MadeUpAnswer, ...]
    shown: TrialOutcome
    denied: TrialOutcome


def found(
    line: BudgetLine,
    others: Sequence[BudgetLine],
    lines: Sequence[BudgetLine],
    whole: Collection[str],
    silent: Collection[str] = (),
) -> Example | None:
    """Answers that `others` let through, and of which `lines` deny one.

    line    the budget that should be overdrawn
    whole   sources that score 0 or 1
    silent  sources that score 0
    """
    work = 0
    for answers in _attempts(line, others, whole, silent):
        work += sum(_charge_points(answer, (*lines, *others)) for answer in answers)
        if work > MOST_WORK:
            break
        denied = run(lines, answers)
        if denied.denied is None:
            continue
        seen = _cut(answers, denied)
        shown = run(others, seen)
        if shown.denied is None:
            return Example(seen, shown, run(lines, seen))
    return None


def _charge_points(answer: MadeUpAnswer, lines: Sequence[BudgetLine]) -> int:
    """How often an answer is looked at, about."""
    return len(answer.moments) + sum(answer.tokens // line.step for line in lines if line.step)


def _cut(answers: Sequence[MadeUpAnswer], denied: TrialOutcome) -> tuple[MadeUpAnswer, ...]:
    """The answers up to the one that is denied, and of that no more charge points than it takes."""
    *before, last = answers[: denied.answers]
    moments = tuple(one for one in last.moments if one.position <= denied.position)
    ended = any(one.ended for one in moments)
    return (*before, replace(last, tokens=last.tokens if ended else denied.position + 1, moments=moments))


def _attempts(
    line: BudgetLine, others: Sequence[BudgetLine], whole: Collection[str], silent: Collection[str]
) -> Iterator[tuple[MadeUpAnswer, ...]]:
    points = list(_points(line, others, whole, silent))
    for digits in DIGITS:
        for point in points:
            scores = _rounded(point, digits, whole)
            if value_of(line.cost, _filled(line, scores)) > line.threshold:
                for sequence in _sequences(line, others, scores, digits, whole):
                    yield from _forms(line, others, sequence)
    if line.spans:
        shared = [one for one in others if one.spans]
        for point in _points(line, shared, whole, silent):
            yield (_given_elsewhere(line, _floats(_rounded(point, DIGITS[-1], whole))),)


def _points(
    line: BudgetLine, others: Sequence[BudgetLine], whole: Collection[str], silent: Collection[str]
) -> Iterator[ScoreVector]:
    """Scores at one charge point that cost the line much: free for the others, as far as they allow, and whatever."""
    mute = [(Expression("model", model=name), NONE) for name in silent]
    adding = [(one.cost, one.threshold) for one in others if one.cap is None]
    caps = [(one.cost, one.at_once) for one in others if one.at_once is not None]
    late = [(one.cost, one.cap) for one in others if one.cap is not None]
    for limits in (caps, [*caps, *adding], late, []):
        try:
            best = highest(line.cost, [*limits, *mute], whole)
        except TooManyParts:
            continue
        if best is not None:
            yield best[1]
            if any(one.discount < 1 or one.forgets for one in (line, *others)):
                yield from _lower(line, *best)


def _lower(line: BudgetLine, score: Fraction, point: ScoreVector) -> Iterator[ScoreVector]:
    """The same in small amounts, which add up where nothing is forgotten."""
    for share in SMALL:
        goal = line.threshold + (score - line.threshold) * share
        if score > line.threshold:
            yield {name: value * goal / score for name, value in point.items()}


def _rounded(point: ScoreVector, digits: int, whole: Collection[str]) -> ScoreVector:
    """Rounded down, which lets no budget spend more."""
    scale = 10**digits
    return {
        name: value if name in whole else Fraction(math.floor(value * scale), scale) for name, value in point.items()
    }


def _filled(line: BudgetLine, scores: ScoreVector) -> ScoreVector:
    return {name: scores.get(name, NONE) for name in line.cost.models()}


def _sequences(
    line: BudgetLine, others: Sequence[BudgetLine], scores: ScoreVector, digits: int, whole: Collection[str]
) -> Iterator[list[ScoreVector]]:
    """Scores of charge points one after the other: as many as overdraw the line, or as few as the others pay for."""
    excess = min(Fraction(1), value_of(line.cost, _filled(line, scores))) - line.threshold
    count = MOST_MOMENTS if line.discount < 1 or line.forgets else int(line.allowance / excess) + 1
    yield [scores]
    if count > 1 and (line.spans or not line.rises_only):
        yield [scores] * min(MOST_MOMENTS, count)
    for other in others:
        name = other.cost.model
        if (
            name
            and name not in whole
            and other.cost == line.cost
            and adds_up_as_often(other, line)
            and scores[name] > other.threshold
        ):
            largest = scores[name] - other.threshold
            full = min(MOST_MOMENTS, int(other.allowance / largest))
            rest = {name: other.threshold + other.allowance - full * largest}
            yield [*[scores] * full, _rounded(rest, max(digits, 3), ())]


def _forms(
    line: BudgetLine, others: Sequence[BudgetLine], sequence: Sequence[ScoreVector]
) -> Iterator[tuple[MadeUpAnswer, ...]]:
    """A sequence in one answer, over several of a conversation, or of several conversations."""
    floats = [_floats(scores) for scores in sequence]
    if len(floats) == 1:
        yield (MadeUpAnswer(1, (Moment(1, floats[0], ended=True),)),)
        for place in _places(line, others):
            yield (MadeUpAnswer(place + 1, (Moment(place, floats[0]),)),)
        return
    step = line.step or 1
    if not line.rises_only and line.step:
        moments = tuple(Moment(step * place, scores) for place, scores in enumerate(floats, 1))
        yield (MadeUpAnswer(step * len(floats) + 1, moments),)
    if line.spans:
        tokens = 1 if line.rule.budget.scope != "tool" else 2
        for apart in (False, True):
            yield tuple(
                MadeUpAnswer(tokens, (Moment(1, scores, ended=tokens == 1),), count if apart else 1)
                for count, scores in enumerate(floats, 1)
            )


def _given_elsewhere(line: BudgetLine, scores: Mapping[str, float]) -> MadeUpAnswer:
    """An earlier answer of another model, which shared budgets are charged for when the conversation goes on."""
    tokens = 1 if line.rule.budget.scope != "tool" else 2
    return MadeUpAnswer(tokens, (Moment(1, scores, ended=tokens == 1),), foreign=True)


def _floats(scores: ScoreVector) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items() if value}


def _places(line: BudgetLine, others: Sequence[BudgetLine]) -> Iterator[int]:
    """Places of a charge point: the first, one that others do not see, and later ones, where discounts count."""
    if not line.step:
        return
    unseen = [place for place in range(line.step, 65 * line.step, line.step) if _seen_by_few(place, others)]
    yield from dict.fromkeys([line.step, *unseen[:1]])
    if any(one.discount < 1 for one in others):
        yield from (line.step * factor for factor in (4, 16, 64, 256))


def _seen_by_few(place: int, others: Sequence[BudgetLine]) -> bool:
    return not any(one.step and place % one.step == 0 for one in others)
