"""What a critic is taught: at every look of every answer, under budgets of many sizes, whether the rest stays within.

Source: arXiv 2502.01208, final labels at all positions; Saute RL (arXiv 2202.06558), budgets randomised in training.
Departure: a look at which a budget is already overdrawn is no example, since nothing is left to be foreseen there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.budget import Rule, SafetyState, remaining, settle
from ig_guardrail.costs.latent_critic import Horizon
from ig_guardrail.learn.trajectories import Trajectory

Floats = NDArray[np.float64]

DRAWS = 4
SMALLEST, LARGEST = 1 / 8, 8.0  # of the policy's own budget


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Looks under budgets, laid end to end.

    features   (examples, features), as the critic computes them
    kept       (examples,) whether the finished answer stayed within
    owner      (examples,) index of the trajectory
    at         (examples,) position
    """

    features: NDArray[np.float32]
    kept: NDArray[np.bool_]
    owner: NDArray[np.int64]
    at: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prospect:
    """At one look: the position's index, what is left of each budget, and whether all will last to the end."""

    look: int
    left: Mapping[str, float]
    kept: bool


def units_of(rules: Sequence[Rule]) -> dict[str, float]:
    """The scale of each budget: itself, or, for a ban, the largest single cost that a score can have."""
    widest = {rule.budget.id: rule.budget.weight * (1 - rule.budget.threshold) for rule in rules}
    return {rule.budget.id: rule.budget.budget or widest[rule.budget.id] or 1.0 for rule in rules}


def examples(
    trajectories: Sequence[Trajectory], rules: Sequence[Rule], horizon: Horizon, draws: int, seed: int
) -> Examples:
    """Examples under the policy's own budgets, and under `draws` random ones for each trajectory."""
    random = np.random.default_rng(seed)
    rows, kept, owner, at = [], [], [], []
    for index, one in enumerate(trajectories):
        sizes = [rules, *(_resized(rules, horizon.units, random) for _ in range(draws))]
        for sized in sizes:
            for prospect in prospects(one, sized):
                position = int(one.at[prospect.look])
                situation = horizon.situation(position, prospect.left)
                rows.append(np.concatenate([one.states[prospect.look].ravel(), situation]).astype(np.float32))
                kept.append(prospect.kept)
                owner.append(index)
                at.append(position)
    return Examples(np.stack(rows), np.array(kept), np.array(owner), np.array(at))


def prospects(one: Trajectory, rules: Sequence[Rule]) -> Iterator[Prospect]:
    """Every look before the end at which no budget is overdrawn, under the rules' budgets."""
    _, charges = settle(rules, SafetyState(), one.measures)
    kept = all(charge.z_after >= 0 for charge in charges)
    for look, position in enumerate(one.at[:-1].tolist()):
        state, _ = settle(rules, SafetyState(), [m for m in one.measures if m.position <= position and not m.ended])
        left = {rule.budget.id: remaining(rule.budget, state.account(rule.budget), position) for rule in rules}
        if min(left.values()) >= 0:
            yield Prospect(look, left, kept)


def _resized(rules: Sequence[Rule], units: Mapping[str, float], random: np.random.Generator) -> list[Rule]:
    """The rules with budgets between `SMALLEST` and `LARGEST` of their units, log-uniform."""
    shares = np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST), len(rules)))
    return [
        replace(rule, budget=replace(rule.budget, budget=float(share) * units[rule.budget.id]))
        for rule, share in zip(rules, shares, strict=True)
    ]
