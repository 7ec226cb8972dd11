"""Trains a critic for one policy on one model, and says how good it is: the work behind `ig-guardrail train critic`.

Source: arXiv 2502.01208, a head for P(safe at the end) and one for the task value, on (hidden state, remaining budget).

What a critic is taught: at every look of every answer, under budgets of many sizes, whether the rest stays within.

Source: arXiv 2502.01208, final labels at all positions; Saute RL (arXiv 2202.06558), budgets randomised in training.
Departure: a look at which a budget is already overdrawn is no example, since nothing is left to be foreseen there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.budget import BudgetRule, SafetyState, remaining, settle
from ig_guardrail.costs.rewards.latent_critic import Horizon
from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.errors import GuardrailError
from ig_guardrail.learn.data.questions import SPLITS, Survey
from ig_guardrail.learn.fitting.card import rounded, write_artifact
from ig_guardrail.learn.fitting.logistic import Fitted, Labels, fit_least_squares, fit_logistic
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, calibration_error, estimate, reliability
from ig_guardrail.learn.fitting.tensor_cache import TensorCache
from ig_guardrail.learn.heads import SEED, Trained, versions
from ig_guardrail.learn.trajectories import Trajectory, TrajectoryRecorder

Floats = NDArray[np.float64]

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
ABOUT = (
    "Foresees, while an answer is being written, whether its end will be within the budgets of one policy, and what it "
    "will be worth, from the language model's own hidden states and what is left of the budgets. It ranks candidates; "
    "no budget is charged by it, and the gate never asks it."
)
LIMITS = (
    "Its chances hold for the mix of questions it was trained on; among others, more or fewer answers go wrong.",
    "It foresees what the policy's cost models will say, their mistakes included.",
    "It belongs to one model, its numerics, and the budgets of one policy by name.",
    "Answers were recorded up to the tokens named here; what comes later in longer ones it never saw.",
)


def train_critic(recorder: TrajectoryRecorder, asked: Survey, cache: Path, out: Path) -> Trained:
    """Record answers to `asked`, train both heads, and write them to a folder in `out` named for the numerics.

    cache  where recordings are kept; an interrupted run goes on from there
    Raises GuardrailError unless answers to train and to test on end both within the budgets and over one.
    """
    info, policy = recorder.guardrail.engine.info, recorder.guardrail.policy
    _demand_budgets(recorder.rules)
    found = recorder.record(asked.questions, TensorCache(cache, [info.model_sha256, info.numerics, info.mode]))
    horizon = Horizon(recorder.speech.sampling.max_tokens, units_of(recorder.rules))
    parts = {split: [one for one in found if one.question.split == split] for split in SPLITS}
    for split in ("train", "test"):
        _demand_both(parts[split], recorder.rules, horizon, split)
    chance = _best_chance(parts, recorder.rules, horizon)
    value = _best_value(parts, horizon)
    card = {
        "name": f"critic of policy '{policy.name}'",
        "kind": "critic",
        "about": ABOUT,
        "base_model": _base(info, recorder.layers),
        "horizon": {"tokens": horizon.tokens, "units": dict(horizon.units)},
        "policy": {"name": policy.name, "sha256": policy.sha256},
        "quality": {
            "under the policy's budgets": critic_targets(chance, parts["test"], recorder.rules, horizon, 0),
            "under budgets of random size": critic_targets(chance, parts["test"], recorder.rules, horizon, DRAWS),
            "task value, share of variance explained": _explained(value, parts["test"], horizon),
        },
        "training": {
            **asked.described("ig-guardrail train critic"),
            **recorder.speech.described(),
            "answers": {split: len(part) for split, part in parts.items()},
            "guided answers": sum(one.guided for one in found),
            "budgets in training": f"the policy's, and {DRAWS} draws of {SMALLEST:g} to {LARGEST:g} times each unit",
            "task value": recorder.valued_by,
            "settings": {"l2 of the chance": chance.l2, "l2 of the value": value.l2},
            "versions": versions(),
        },
        "sources": dict(asked.sources),
        "limits": list(LIMITS),
    }
    write_artifact(out / info.numerics, card, {**chance.tensors("chance."), **value.tensors("value.")})
    return Trained(out / info.numerics, card)


def critic_targets(
    chance: Fitted, tested: Sequence[Trajectory], rules: Sequence[BudgetRule], horizon: Horizon, draws: int
) -> dict[str, Any]:
    """Calibration, and AUC of answers that go wrong against others, by position; questions are the observations."""
    seen = examples(tested, rules, horizon, draws, SEED)
    chances = _sigmoid(chance.values(seen.features))
    bins = reliability(chances, seen.kept)
    found: dict[str, Any] = {
        "looks": len(chances),
        "answers that went over": len(set(seen.owner[~seen.kept].tolist())),
        "expected calibration error": round(calibration_error(bins), 4),
        "reliability": [
            f"{one.count} looks: predicted {one.predicted:.3f}, observed {one.observed:.3f}" for one in bins
        ],
    }
    for position in sorted(set(seen.at.tolist())):
        here = seen.at == position
        if 0 < seen.kept[here].sum() < here.sum():
            groups = tuple(tested[owner].question.text for owner in seen.owner[here].tolist())
            scored = ScoredSet(1 - chances[here], ~seen.kept[here], groups)
            found[f"auc at {position} tokens"] = rounded(estimate(auc, scored, SEED))
    return found


def _best_chance(parts: dict[str, list[Trajectory]], rules: Sequence[BudgetRule], horizon: Horizon) -> Fitted:
    """The penalty whose chances are likeliest on the validation answers; the heaviest where there are none."""
    learned = examples(parts["train"], rules, horizon, DRAWS, SEED)
    fits = [fit_logistic(learned.features, _labels(learned), l2) for l2 in PENALTIES]
    if not any(len(one.at) > 1 for one in parts["validation"]):
        return fits[-1]
    chosen = examples(parts["validation"], rules, horizon, DRAWS, SEED)
    return min(fits, key=lambda fit: _surprise(fit.values(chosen.features), chosen.kept))


def _best_value(parts: dict[str, list[Trajectory]], horizon: Horizon) -> Fitted:
    features, targets = _valued(parts["train"], horizon)
    share = np.full(len(targets), 1 / len(targets))
    fits = [fit_least_squares(features, targets, share, l2) for l2 in PENALTIES]
    if not parts["validation"]:
        return fits[-1]
    chosen, wanted = _valued(parts["validation"], horizon)
    return min(fits, key=lambda fit: float(((fit.values(chosen) - wanted) ** 2).mean()))


def _labels(learned: Examples) -> Labels:
    """Every answer weighs the same, and so does each of its examples."""
    _, owners, counts = np.unique(learned.owner, return_inverse=True, return_counts=True)
    return Labels(learned.kept, 1 / (len(counts) * counts[owners]))


def _valued(found: Sequence[Trajectory], horizon: Horizon) -> tuple[NDArray[np.float32], Floats]:
    """Features of every look, the end included, and the value of the whole."""
    features = [
        np.append(states.ravel(), min(1.0, position / horizon.tokens)).astype(np.float32)
        for one in found
        for states, position in zip(one.states, one.at.tolist(), strict=True)
    ]
    return np.stack(features), np.array([one.value for one in found for _ in one.at])


def _explained(value: Fitted, tested: Sequence[Trajectory], horizon: Horizon) -> dict[str, float]:
    features, wanted = _valued(tested, horizon)
    at = np.concatenate([one.at for one in tested])
    gaps = (value.values(features) - wanted) ** 2
    return {
        f"at {position} tokens": round(1 - float(gaps[here].mean() / wanted[here].var()), 3)
        for position in sorted(set(at.tolist()))
        if (here := at == position).sum() > 1 and wanted[here].var() > 0
    }


def _surprise(logits: Floats, kept: NDArray[np.bool_]) -> float:
    """Mean cross-entropy, nats."""
    return float(np.logaddexp(0, np.where(kept, -logits, logits)).mean())


def _sigmoid(logits: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -logits))


def _base(info: EngineInfo, layers: tuple[int, ...]) -> dict[str, Any]:
    return {"name": info.model, "sha256": info.model_sha256, "numerics": info.numerics, "layers": list(layers)}


def _demand_budgets(rules: Sequence[BudgetRule]) -> None:
    if not rules:
        raise GuardrailError(
            "the policy enforces no budget",
            where="train critic",
            why="every answer ends within none",
            fix="give a policy with at least one budget in `mode: enforce`",
        )


def _demand_both(part: Sequence[Trajectory], rules: Sequence[BudgetRule], horizon: Horizon, split: str) -> None:
    open_looks = [one for one in part if len(one.at) > 1]
    kept = examples(open_looks, rules, horizon, DRAWS, SEED).kept if open_looks else np.array([])
    if not 0 < kept.sum() < len(kept):
        raise GuardrailError(
            f"of the answers in the split '{split}', {'none' if kept.sum() == 0 else 'all'} end within the budgets",
            where="train critic",
            why="a critic learns from what goes well and from what goes wrong after a good beginning",
            fix="raise --prompts, or add --data with prompts that tempt the model",
        )


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


def units_of(rules: Sequence[BudgetRule]) -> dict[str, float]:
    """The scale of each budget: itself, or, for a ban, the largest single cost that a score can have."""
    widest = {rule.budget.id: rule.budget.weight * (1 - rule.budget.threshold) for rule in rules}
    return {rule.budget.id: rule.budget.budget or widest[rule.budget.id] or 1.0 for rule in rules}


def examples(
    trajectories: Sequence[Trajectory], rules: Sequence[BudgetRule], horizon: Horizon, draws: int, seed: int
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


def prospects(one: Trajectory, rules: Sequence[BudgetRule]) -> Iterator[Prospect]:
    """Every look before the end at which no budget is overdrawn, under the rules' budgets."""
    _, charges = settle(rules, SafetyState(), one.measures)
    kept = all(charge.z_after >= 0 for charge in charges)
    for look, position in enumerate(one.at[:-1].tolist()):
        state, _ = settle(rules, SafetyState(), [m for m in one.measures if m.position <= position and not m.ended])
        left = {rule.budget.id: remaining(rule.budget, state.account(rule.budget), position) for rule in rules}
        if min(left.values()) >= 0:
            yield Prospect(look, left, kept)


def _resized(rules: Sequence[BudgetRule], units: Mapping[str, float], random: np.random.Generator) -> list[BudgetRule]:
    """The rules with budgets between `SMALLEST` and `LARGEST` of their units, log-uniform."""
    shares = np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST), len(rules)))
    return [
        replace(rule, budget=replace(rule.budget, budget=float(share) * units[rule.budget.id]))
        for rule, share in zip(rules, shares, strict=True)
    ]
