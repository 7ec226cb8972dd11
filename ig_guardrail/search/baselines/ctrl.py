"""CTRL at inference time: best-of-N over rewards that are calibrated per prompt and transformed.

Source: InfAlign, arXiv 2412.19792: a reward r is calibrated to C = P(r' < r) + P(r' = r) / 2 against the model's own
answers to the prompt, and transformed by Phi for what will be done with it: e^{tu} where the best of several is kept
(best-of-N), -e^{-tu} where an adversary keeps the worst (worst-of-N). The paper then trains the model towards
E[Phi(C)] - beta KL; a frozen model is sampled from here, with weights exp(Phi(C) / beta) over its own N answers.

Departures: C is estimated among the N answers themselves, which is the reference distribution at no further cost, and
coarse: its steps are 1 / N. The draw takes one number from a hash of the answers, so that it repeats.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ig_guardrail.search.base import Search, SearchContext, SearchMethod, Strategy
from ig_guardrail.search.best_of_n import whole_answers
from ig_guardrail.search.dice import drawn
from ig_guardrail.search.needs import REWARD_MODEL
from ig_guardrail.search.preference import scored
from ig_guardrail.types import Commit, Drop, Node

Transform: TypeAlias = Callable[[float], float]

BETA = 1.0
SHARPNESS = 5.0


def calibrated(value: float, reference: Sequence[float]) -> float:
    """C in [0, 1]: the share of the reference below a value, with half of those equal to it; 1/2 without one."""
    if not reference:
        return 0.5
    below, equal = sum(other < value for other in reference), sum(other == value for other in reference)
    return (below + equal / 2) / len(reference)


def for_best_of_n(u: float) -> float:
    """e^{tu}: what counts is the top."""
    return math.exp(SHARPNESS * u)


def for_worst_of_n(u: float) -> float:
    """-e^{-tu}: what counts is that nothing lies at the bottom."""
    return -math.exp(-SHARPNESS * u)


def weights(values: Sequence[float], transform: Transform, beta: float = BETA) -> list[float]:
    """exp(Phi(C) / beta) of each value among all of them, summing to 1."""
    tilted = [transform(calibrated(value, values)) / beta for value in values]
    highest = max(tilted)
    masses = [math.exp(value - highest) for value in tilted]
    return [mass / math.fsum(masses) for mass in masses]


def ctrl(transform: Transform) -> Strategy:
    """One of `candidates` answers, those within budget, drawn by its weight."""

    def search(root: Node, ctx: SearchContext) -> Search:
        answers = yield from whole_answers(root, ctx)
        candidates = yield from scored(answers, ctx)
        within = [one for one in candidates if one.cost.within] or candidates[:1]
        chances = weights([one.value for one in within], transform)
        place = drawn(dict(enumerate(chances)), _uniform(answers))
        yield Drop(tuple(node for node in answers if node is not within[place].node))
        yield Commit(within[place].node)

    return search


def _uniform(answers: Sequence[Node]) -> float:
    """A number in [0, 1) that the answers determine."""
    text = repr([node.answer_ids() for node in answers]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest()) / 2**56


METHODS = (
    SearchMethod(
        "ctrl",
        ctrl(for_best_of_n),
        "an answer drawn by calibrated reward, tilted to the top",
        "InfAlign, arXiv 2412.19792",
        uses=(REWARD_MODEL,),
        streams=False,
        baseline=True,
    ),
    SearchMethod(
        "ctrl_worst_of_n",
        ctrl(for_worst_of_n),
        "an answer drawn by calibrated reward, tilted away from the bottom",
        "InfAlign, arXiv 2412.19792",
        uses=(REWARD_MODEL,),
        streams=False,
        baseline=True,
    ),
)
