"""Makes a user's own model a known one: the work behind `ig-guardrail adopt`.

The thresholds of a policy were set on harmless answers of the embedded model. Here the model at hand answers the same
harmless questions, and each cost model gets the scale at which the policy's budgets are touched as seldom as was asked
for: with 95 % confidence by at most `rate` of such answers, over all budgets together. All of it is kept in the model's
folder (`costs.adoption`); a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.assembly import facts_of
from ig_guardrail.bootstrap import Estimate
from ig_guardrail.costs.adoption import FILE, FORMAT, adoption_folder
from ig_guardrail.costs.catalog import BuiltCost, build_costs
from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.learn.answers import split_of, write_answers
from ig_guardrail.learn.data.benign import benign_prompts
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.card import rounded
from ig_guardrail.learn.heads import versions
from ig_guardrail.learn.thresholds import Calibration, calibrate, peak_scores, surely_allowed, touched_share
from ig_guardrail.types import Budget, CompiledPolicy

ANSWERS = "answers.jsonl"
SETTING, CHECKING = "calibration", "test"  # the splits of answers that set scales, and of those that check them


@dataclass(frozen=True, slots=True)
class AdoptionReport:
    """What was measured; `record` is what is kept in the model's folder, without any text.

    served  by cost model, the entry that serves on this model
    found   the scores at which budgets begin to cost, before scaling, and how many answers they touch
    fresh   the share of answers that set nothing which any budget touches
    """

    folder: Path
    served: Mapping[str, str]
    found: Calibration
    fresh: Estimate
    record: Mapping[str, Any]


def adopt(weights: Weights, policy: CompiledPolicy, rate: float = 0.05) -> AdoptionReport:
    """Measure a model and keep what was found.

    policy  whose budgets are set; cost models of its that other policies share are set for them, too
    rate    the share of harmless answers that any budget may touch
    Raises GuardrailError if there are too few answers for such a rate.
    """
    folder = adoption_folder(weights.sha256, weights.numerics)
    answers = folder / ANSWERS
    questions = [one for one in benign_prompts() if split_of(one) in (SETTING, CHECKING)]
    surely_allowed(sum(split_of(one) == SETTING for one in questions), rate)  # or answering would be for nothing
    if not answers.exists():
        write_answers(weights, answers, questions=questions)
    engine = TransformersEngine(weights)
    try:
        rows = read_rows([answers]).rows
        built = _built(engine, policy)
        peaks = {split: _peaks(engine, policy, built, _of(rows, split)) for split in (SETTING, CHECKING)}
    finally:
        engine.shutdown()
    found = calibrate(peaks[SETTING], surely_allowed(len(_of(rows, SETTING)), rate))
    fresh = touched_share(peaks[CHECKING], found.thresholds)
    scales = _scales(policy, built, found)
    record = _record(weights, policy, built, rate, found, fresh, scales)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / FILE, record)
    served = {name: one.entry for name, one in built.items()}
    return AdoptionReport(folder, served, found, fresh, record)


def _of(rows: Sequence[LabelledRow], split: str) -> list[LabelledRow]:
    return [row for row in rows if row.split == split and row.text.strip()]


def _built(engine: Engine, policy: CompiledPolicy) -> dict[str, BuiltCost]:
    """The cost models that budgets of single cost models rest on, as they serve on this model, not yet scaled."""
    asked = tuple(dict.fromkeys(budget.cost.model for budget in _set_here(policy)))
    return build_costs(policy.cost_models, asked, engine=facts_of(engine), base_dir=None)


def _set_here(policy: CompiledPolicy) -> tuple[Budget, ...]:
    """The budgets that a scale can set: those over levels of one cost model, as packaged policies have them."""
    return tuple(one for one in policy.budgets if one.scope == "response" and one.cost.op == "model")


def _peaks(
    engine: Engine, policy: CompiledPolicy, built: Mapping[str, BuiltCost], rows: Sequence[LabelledRow]
) -> dict[str, NDArray[np.float64]]:
    peaks = peak_scores(engine, {name: one.model for name, one in built.items()}, rows)
    return {budget.id: peaks[budget.cost.model] for budget in _set_here(policy)}


def _scales(
    policy: CompiledPolicy, built: Mapping[str, BuiltCost], found: Calibration
) -> dict[str, tuple[float, float]]:
    """By cost model: the score that budgets were found to begin at, and the threshold that it counts as."""
    scales = {}
    for budget in _set_here(policy):
        own = found.thresholds[budget.id]
        if 0 < own < 1 and 0 < budget.threshold < 1:
            scales[budget.cost.model] = (own, budget.threshold)
    return scales


def _record(
    weights: Weights,
    policy: CompiledPolicy,
    built: Mapping[str, BuiltCost],
    rate: float,
    found: Calibration,
    fresh: Estimate,
    scales: Mapping[str, tuple[float, float]],
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": {"name": weights.name, "sha256": weights.sha256, "numerics": weights.numerics},
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "what": f"with 95% confidence at most {rate:.1%} of the model's own harmless answers are touched by any budget",
        "rate": rate,
        "answers": found.answers,
        "touched": rounded(found.touched),
        "touched, on answers that set nothing": rounded(fresh),
        "scales": [
            {"cost": name, "entry": built[name].entry, "sha256": built[name].model.sha256, "from": own, "to": counts}
            for name, (own, counts) in scales.items()
        ],
        "versions": versions(),
    }


def _write(file: Path, record: Mapping[str, Any]) -> None:
    from ig_guardrail.engine.loading.store import put_in_place

    with put_in_place(file) as fresh:
        fresh.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
