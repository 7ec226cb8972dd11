"""CTRL at inference time: an answer drawn by calibrated, transformed reward, as far from the model as `beta` allows.

Source: InfAlign, arXiv 2412.19792: a reward r is calibrated to C = P(r' < r) + P(r' = r) / 2 against the model's own
answers to the prompt, and transformed by Phi for what will be done with it: e^{tu} where the best of several is kept
(best-of-N), -e^{-tu} where an adversary keeps the worst (worst-of-N). The paper then trains the model towards the
maximum of E[Phi(C)] - beta KL. Its optimum has weights exp(Phi(C) / beta) over the model's own answers; here a frozen
model is sampled with these weights over N of them.

beta trades reward against distance: a large one leaves the model as it is, and as it falls to 0 the draw becomes
best-of-N. Phi has no unit, so beta has one only beside it: e^{5u} runs from 1 to 148, and beta is set where the optimum
lies half a nat from the model, at which the paper's families are compared.

Departures: C is estimated among the N answers themselves, which is the reference distribution at no further cost, and
coarse: its steps are 1 / N.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ig_guardrail.search.base import Search, SearchContext, SearchMethod, Strategy
from ig_guardrail.search.best_of_n import whole_answers
from ig_guardrail.search.drawing.dice import drawn, uniform
from ig_guardrail.search.drawing.preference import scored
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.types import Commit, Drop, Node

Transform: TypeAlias = Callable[[float], float]

SHARPNESS = 5.0


def for_best_of_n(u: float) -> float:
    """e^{tu}: what counts is the top."""
    return math.exp(SHARPNESS * u)


def for_worst_of_n(u: float) -> float:
    """-e^{-tu}: what counts is that nothing lies at the bottom."""
    return -math.exp(-SHARPNESS * u)


@dataclass(frozen=True, slots=True)
class Tilt:
    """E[Phi(C)] - beta KL. beta: the price of a nat of distance from the model, in units of Phi, above 0."""

    transform: Transform
    beta: float

    def weights(self, calibrated: Sequence[float]) -> list[float]:
        """exp(Phi(C) / beta) of each calibrated reward, summing to 1."""
        exponents = [self.transform(value) / self.beta for value in calibrated]
        highest = max(exponents)
        masses = [math.exp(value - highest) for value in exponents]
        return [mass / math.fsum(masses) for mass in masses]


TOP = Tilt(for_best_of_n, 47.9)
BOTTOM = Tilt(for_worst_of_n, 0.0703)


def calibrated(value: float, reference: Sequence[float]) -> float:
    """C in [0, 1]: the share of the reference below a value, with half of those equal to it; 1/2 without one."""
    if not reference:
        return 0.5
    below, equal = sum(other < value for other in reference), sum(other == value for other in reference)
    return (below + equal / 2) / len(reference)


def ctrl(tilt: Tilt) -> Strategy:
    """One of `candidates` answers, those within budget, drawn by its weight; rewards are calibrated among all."""

    def search(root: Node, ctx: SearchContext) -> Search:
        answers = yield from whole_answers(root, ctx)
        candidates = yield from scored(answers, ctx)
        reference = [one.value for one in candidates]
        within = [one for one in candidates if one.cost.within] or candidates[:1]
        odds = tilt.weights([calibrated(one.value, reference) for one in within])
        place = drawn(dict(enumerate(odds)), uniform(ctx.seed, root.position, 0))
        yield Drop(tuple(node for node in answers if node is not within[place].node))
        yield Commit(within[place].node)

    return search


METHODS = (
    SearchMethod(
        "ctrl",
        ctrl(TOP),
        "an answer drawn by calibrated reward, tilted to the top",
        "InfAlign, arXiv 2412.19792",
        uses=(REWARD_MODEL,),
        streams=False,
        baseline=True,
    ),
    SearchMethod(
        "ctrl_worst_of_n",
        ctrl(BOTTOM),
        "an answer drawn by calibrated reward, tilted away from the bottom",
        "InfAlign, arXiv 2412.19792",
        uses=(REWARD_MODEL,),
        streams=False,
        baseline=True,
    ),
)
