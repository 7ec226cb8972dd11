"""Makes a user's own model a known one: the work behind `ig-guardrail adopt`.

The thresholds of a policy were set on harmless answers of the embedded model, and its heads were trained on it. Here
the model at hand answers the same harmless questions. Where there is something to learn from, it gets heads of its own
(`own_heads`). Then each cost model gets the scale at which the policy's budgets are touched as seldom as was asked for:
with 95 % confidence by at most `rate` of such answers, over all budgets together that a scale can set. All of it is
kept in the model's folder (`costs.adoption`); a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.assembly import facts_of
from ig_guardrail.costs.adoption import FILE, FORMAT, HEADS, Adoption, adoption_folder, read_adoption
from ig_guardrail.costs.catalog import BuiltCost, build_costs
from ig_guardrail.engine.loading.facts import TemplateFacts, template_facts
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import PolicyError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.learn.answers import split_of, write_answers
from ig_guardrail.learn.data.benign import benign_prompts
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.card import rounded
from ig_guardrail.learn.heads import versions
from ig_guardrail.learn.own_heads import HeadReport, Lessons, find_openings, learn_heads
from ig_guardrail.learn.teaching import Adoptee, check_teachers
from ig_guardrail.learn.thresholds import Calibration, calibrate, peak_scores, surely_allowed, touched_share
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.types import Budget, CompiledPolicy

ANSWERS, LEARNING = "answers.jsonl", "learning.jsonl"
REPORT = "report.json"
SETTING, CHECKING = "calibration", "test"  # the splits of answers that set scales, and of those that check them


@dataclass(frozen=True, slots=True)
class AdoptionReport:
    """What was measured; `record` is what the report file holds, without any text.

    served    by cost model, what serves on this model: an entry, or `adopted:HEAD`
    heads     what became of the heads that this run learned
    found     the scores at which budgets begin to cost, before scaling, and how many answers they touch
    fresh     the share of answers that set nothing which any budget touches
    """

    folder: Path
    served: Mapping[str, str]
    heads: Sequence[HeadReport]
    found: Calibration
    fresh: Estimate
    record: Mapping[str, Any]


def adopt(
    weights: Weights,
    policy: CompiledPolicy,
    rate: float = 0.05,
    *,
    lessons: Lessons | None = None,
    base_dir: Path | None = None,
    cache: Path | None = None,
) -> AdoptionReport:
    """Measure a model, train heads for it, and keep what was found.

    policy    whose budgets are set; cost models of its that other policies share are set for them, too
    rate      the share of harmless answers that any budget may touch
    lessons   what heads are learned from; none are without
    base_dir  where relative paths of the policy start
    cache     where hidden states and scores are kept; the model's folder if None
    Raises GuardrailError if there are too few answers for such a rate, RequestError for a teacher that there is not.
    """
    folder = adoption_folder(weights.sha256, weights.numerics)
    kept = read_adoption(weights.sha256, weights.numerics)
    taken, budgets = lessons or Lessons(), _set_here(policy)
    check_teachers(taken.teachers, policy)
    read_rows(taken.data)  # or answering would be for nothing
    engine = TransformersEngine(weights)
    try:
        adoptee = Adoptee(weights, engine, policy, base_dir, rate, cache or folder / "cache")
        openings = find_openings(adoptee, budgets) if lessons else []
        harmless = _answer(weights, folder, rate, learning=bool(openings))
        reports = learn_heads(adoptee, taken, openings, harmless, folder / HEADS) if openings else []
        rows = read_rows([folder / ANSWERS]).rows
        measured = _measure(adoptee, budgets, _heads(kept, reports), rows)
        approved = [_approved(adoptee, budgets, measured, one) for one in reports]
        if approved != reports:
            reports, measured = approved, _measure(adoptee, budgets, _heads(kept, approved), rows)
    finally:
        engine.shutdown()
    record = _record(weights, policy, rate, measured, [budget.id for budget in budgets])
    template = template_facts(weights.tokenizer)
    told = {**record, "template": _told(template), "heads": [one.told() for one in reports]}
    _write(folder / REPORT, told)
    _write(folder / FILE, _used(record, kept, _heads(kept, reports)))
    served = {name: one.entry for name, one in measured.built.items()}
    return AdoptionReport(folder, served, reports, measured.found, measured.fresh, told)


def _heads(kept: Adoption, reports: Sequence[HeadReport]) -> dict[str, Path]:
    """Those that were kept before, and those that are now."""
    return {**kept.heads, **{one.head: one.folder for one in reports if one.kept and one.folder is not None}}


def _used(record: Mapping[str, Any], kept: Adoption, heads: Mapping[str, Path]) -> dict[str, Any]:
    """What a guardrail reads: scales, also those that another policy's cost models were given before, and heads."""
    fresh = {one["sha256"] for one in record["scales"]}
    before = [
        {"sha256": sha256, "from": own, "to": counts}
        for sha256, (own, counts) in kept.scales.items()
        if sha256 not in fresh
    ]
    scales = [*record["scales"], *before]
    return {**record, "scales": scales, "heads": {name: place.name for name, place in heads.items()}}


def _answer(weights: Weights, folder: Path, rate: float, learning: bool) -> list[Path]:
    """The files with the model's answers to harmless questions; those to learn from only where something learns."""
    questions: dict[str, list[str]] = {ANSWERS: [], LEARNING: []}
    for one in benign_prompts():
        split = split_of(one)
        if split != "reserved":
            questions[ANSWERS if split in (SETTING, CHECKING) else LEARNING].append(one)
    surely_allowed(sum(split_of(one) == SETTING for one in questions[ANSWERS]), rate)  # or answering would be in vain
    files = [folder / name for name in (questions if learning else (ANSWERS,))]
    for file in files:
        if not file.exists():
            write_answers(weights, file, questions=questions[file.name])
    return files


def _of(rows: Sequence[LabelledRow], split: str) -> list[LabelledRow]:
    return [row for row in rows if row.split == split and row.text.strip()]


def _set_here(policy: CompiledPolicy) -> tuple[Budget, ...]:
    """The budgets that a scale can set: those over levels of one cost model. Raises PolicyError if there is none."""
    found = tuple(one for one in policy.budgets if one.scope == "response" and one.cost.op == "model")
    if not found:
        raise PolicyError(
            f"policy '{policy.name}' has no budget that a scale could set",
            where="budgets",
            why="a scale belongs to one cost model, and each budget is over several, or over more than one answer",
            fix="give a budget the name of one cost model as its `cost`; `policy calibrate` sets thresholds of others",
        )
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    """The cost models that budgets rest on, as they serve on a model, and what was found of them; see the report."""

    built: Mapping[str, BuiltCost]
    found: Calibration
    fresh: Estimate
    scales: Mapping[str, tuple[float, float]]


def _measure(
    adoptee: Adoptee, budgets: Sequence[Budget], heads: Mapping[str, Path], rows: Sequence[LabelledRow]
) -> Measured:
    asked = tuple(dict.fromkeys(budget.cost.model for budget in budgets))
    built = build_costs(
        adoptee.policy.cost_models,
        asked,
        engine=facts_of(adoptee.engine),
        base_dir=adoptee.base_dir,
        adoption=Adoption(heads=heads),
    )
    setting, checking = (_of(rows, split) for split in (SETTING, CHECKING))
    peaks = _peaks(adoptee, budgets, built, setting)
    found = calibrate(peaks, surely_allowed(len(setting), adoptee.rate))
    fresh = touched_share(_peaks(adoptee, budgets, built, checking), found.thresholds)
    return Measured(built, found, fresh, _scales(budgets, found))


def _approved(adoptee: Adoptee, budgets: Sequence[Budget], measured: Measured, report: HeadReport) -> HeadReport:
    """The report of a head; it is put aside if the policy's own messages would be over its budgets, and none start."""
    mine = tuple(one for one in budgets if measured.built[one.cost.model].entry == f"adopted:{report.head}")
    if not report.kept:
        return report
    counted = {}
    for name in dict.fromkeys(budget.cost.model for budget in mine):
        one = measured.built[name]
        scale = measured.scales.get(name) or one.spec.scale
        counted[name] = replace(one, spec=replace(one.spec, scale=scale))
    try:
        Guardrail(adoptee.engine, replace(adoptee.policy, budgets=mine, prompt=None), counted).approve()
    except PolicyError as error:
        return replace(report, kept=False, why=f"put aside: {error.what}")
    return report


def _peaks(
    adoptee: Adoptee, budgets: Sequence[Budget], built: Mapping[str, BuiltCost], rows: Sequence[LabelledRow]
) -> dict[str, NDArray[np.float64]]:
    """By budget (rows,): the highest score for its hazards, where it is charged."""
    found = {}
    for every in dict.fromkeys(budget.every for budget in budgets):
        mine = [budget for budget in budgets if budget.every == every]
        models = {budget.cost.model: built[budget.cost.model].model for budget in mine}
        peaks = peak_scores(adoptee.engine, models, rows, adoptee.cache, every)
        for budget in mine:
            shared = [place for place, one in enumerate(models[budget.cost.model].hazards) if one in budget.hazards]
            found[budget.id] = peaks[budget.cost.model][:, shared].max(axis=1, initial=0.0)
    return found


def _scales(budgets: Sequence[Budget], found: Calibration) -> dict[str, tuple[float, float]]:
    """By cost model: the highest score that its budgets were found to begin at, and what it counts as.

    With that, none of several budgets over one cost model begins lower than it was found to.
    """
    ends: dict[str, list[tuple[float, float]]] = {}
    for budget in budgets:
        own = found.thresholds[budget.id]
        if 0 < own < 1 and 0 < budget.threshold < 1:
            ends.setdefault(budget.cost.model, []).append((own, budget.threshold))
    scales = {}
    for name, pairs in ends.items():
        highest = max(own for own, _ in pairs)
        scales[name] = (highest, min(counts if own == highest else counts * highest / own for own, counts in pairs))
    return scales


def _record(
    weights: Weights, policy: CompiledPolicy, rate: float, measured: Measured, budgets: Sequence[str]
) -> dict[str, Any]:
    """budgets: those that were set, of which alone the figures speak"""
    built = measured.built
    return {
        "format": FORMAT,
        "model": {"name": weights.name, "sha256": weights.sha256, "numerics": weights.numerics},
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "what": f"with 95% confidence at most {rate:.1%} of the model's own harmless answers are touched by any of the "
        "budgets",
        "budgets": list(budgets),
        "not set": [budget.id for budget in policy.budgets if budget.id not in budgets],
        "rate": rate,
        "answers": measured.found.answers,
        "touched": rounded(measured.found.touched),
        "touched, on answers that set nothing": rounded(measured.fresh),
        "scales": [
            {"cost": name, "entry": built[name].entry, "sha256": built[name].model.sha256, "from": own, "to": counts}
            for name, (own, counts) in measured.scales.items()
        ],
        "versions": versions(),
    }


def _told(template: TemplateFacts) -> dict[str, Any]:
    return {
        "tools": "its own format" if template.tools.native else "none: calls are written in our format",
        "thoughts": template.thoughts is not None,
        "roles": list(template.roles),
        "switches": list(template.switches),
    }


def _write(file: Path, record: Mapping[str, Any]) -> None:
    from ig_guardrail.engine.loading.store import put_in_place

    with put_in_place(file) as fresh:
        fresh.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
