"""Latent heads for a model that packaged ones do not fit: learned, compared with what would serve, and kept or not.

A head is kept only where it is better than the text cost that serves without it, on answers that it has not learned
from: the lower end of the 95 % interval of the difference of their AUC lies above 0. Labels of these answers are

- the user's (`--data`), whether the head has learned from others of them or from a teacher
- a teacher's, where that is another cost model than the one that serves: by a teacher's own labels nothing is better
  than the teacher, so a head that learned from what serves is put aside unless the user has labels

Scores are read as a guard reads them, at charge points, of as much of an answer as heads learn from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ig_guardrail.costs.catalog import BuiltCost
from ig_guardrail.costs.heads.artifact import read_artifact
from ig_guardrail.costs.heads.latent import LatentHead, read_latent_head
from ig_guardrail.costs.kinds.latent import PACKAGED
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.learn.data.recipes import OWN_ANSWERS, Recipe, choose_own_rows, recipe_named
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.learn.fitting.card import add_to_card, rounded
from ig_guardrail.learn.fitting.quality import ScoredSet, auc, auc_lead, estimate
from ig_guardrail.learn.fitting.states import MAX_PROMPT_CHARACTERS, NEUTRAL_PROMPT, POINTS, token_ids
from ig_guardrail.learn.heads import SEED, fit_head, versions, write_head
from ig_guardrail.learn.teaching import (
    Adoptee,
    Teacher,
    appoint,
    build_teachers,
    find_teacher,
    label_answers,
    part_of_prompt,
    write_risky_answers,
)
from ig_guardrail.learn.thresholds import peak_scores
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.types import Budget, CostModelSpec

FEWEST = 10  # rows of each label that a part needs
MOST_COMPARED = 500  # held-back rows of each label
LABELS = ("harmful", "safe")
PARTS = {"train": "learn from", "validation": "choose settings on", "test": "compare on"}


@dataclass(frozen=True, slots=True)
class Lessons:
    """What heads are learned from.

    data      files of labelled rows. Without teachers heads learn from them, and a part is held back; with teachers
              they only tell whether a head is better: their test rows, or all where these are too few
    teachers  names of cost models of the policy, or "otherwise"; see `teaching`
    """

    data: tuple[Path, ...] = ()
    teachers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeadComparison:
    """A head beside the text cost that serves without it: their AUC on the same answers, by labels of `by`."""

    by: str
    counts: Mapping[str, int]
    head: Estimate
    text: Estimate
    lead: Estimate

    def told(self) -> dict[str, Any]:
        """For cards and reports."""
        figures = {"AUC of the head": self.head, "AUC of the text cost": self.text, "difference": self.lead}
        return {"labels of": self.by, **self.counts, **{name: rounded(one) for name, one in figures.items()}}


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What became of one head.

    head       its packaged name; `entry` of the policy asks for it, and `text` serves there without it
    kept       whether it serves from now on; `why` in words
    folder     where it lies, kept or put aside; None if none was learned
    learned    how many rows it learned from, by label
    agreement  AUC of its scores by its teacher's labels, on answers that were held back
    """

    head: str
    entry: str
    text: str
    kept: bool = False
    why: str = ""
    folder: Path | None = None
    teacher: Mapping[str, Any] | None = None
    learned: Mapping[str, int] = field(default_factory=dict)
    agreement: Estimate | None = None
    comparison: HeadComparison | None = None

    def told(self) -> dict[str, Any]:
        """For reports."""
        return {
            "head": self.head,
            "entry": self.entry,
            "text cost": self.text,
            "kept": self.kept,
            "why": self.why,
            "folder": None if self.folder is None else self.folder.name,
            **self.evidence(),
        }

    def evidence(self) -> dict[str, Any]:
        """For cards: what it learned from, and how it compares."""
        return {
            "text cost": self.text,
            "teacher": self.teacher,
            "learned from": dict(self.learned),
            "AUC by its teacher's labels": None if self.agreement is None else rounded(self.agreement),
            "compared": None if self.comparison is None else self.comparison.told(),
        }


@dataclass(frozen=True, slots=True)
class UnfitHead:
    """A packaged head that an entry asks for and that does not fit the model; `text` serves instead.

    threshold  the lowest of the budgets that rest on it
    """

    head: str
    spec: CostModelSpec
    text: BuiltCost
    threshold: float


def find_openings(adoptee: Adoptee, budgets: Sequence[Budget]) -> list[UnfitHead]:
    """One for each packaged head that does not fit; the first entry that asks for it counts.

    budgets  those over one cost model
    """
    specs = {spec.name: spec for spec in adoptee.policy.cost_models}
    found: dict[str, UnfitHead] = {}
    for name in dict.fromkeys(budget.cost.model for budget in budgets):
        head = str(specs[name].options.get("head")) if specs[name].kind == "latent" else ""
        if head not in PACKAGED or head in found:
            continue
        built = adoptee.build(name)
        if built.entry != name:
            least = min(budget.threshold for budget in budgets if budget.cost.model == name)
            found[head] = UnfitHead(head, specs[name], built, least)
    return list(found.values())


def learn_heads(
    adoptee: Adoptee, lessons: Lessons, openings: Sequence[UnfitHead], harmless: Sequence[Path], heads: Path
) -> list[HeadReport]:
    """Learn a head for each opening, and tell which are better than what serves now.

    harmless  files with the model's own harmless answers, those that set thresholds among them
    heads     the folder that heads are put into, each under its name and a piece of its hash
    """
    risky = write_risky_answers(adoptee.weights, heads.parent) if lessons.teachers else []
    own, data = read_rows(harmless).rows, read_rows(lessons.data).rows
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (*lessons.data, *risky, *harmless)}
    teachers = build_teachers(adoptee, lessons.teachers)
    return [_learn(adoptee, one, teachers, own, data, risky, hashes, heads) for one in openings]


def split_rows(rows: Sequence[LabelledRow]) -> list[LabelledRow]:
    """Rows with all parts: where they lack validation or test rows, these are taken of the training rows, by prompt."""
    lacking = [part for part in PARTS if {row.label for row in rows if row.split == part} != set(LABELS)]
    parts = [part_of_prompt(row.prompt, row.text) for row in rows]
    return [
        replace(row, split=part) if row.split == "train" and part in lacking else row
        for row, part in zip(rows, parts, strict=True)
    ]


def _learn(
    adoptee: Adoptee,
    opening: UnfitHead,
    teachers: Mapping[str, BuiltCost | None],
    own: Sequence[LabelledRow],
    data: Sequence[LabelledRow],
    risky: Sequence[Path],
    hashes: Mapping[str, str],
    heads: Path,
) -> HeadReport:
    report = HeadReport(opening.head, opening.spec.name, opening.text.entry)
    recipe, hazards = recipe_named(opening.head), opening.spec.hazards
    labelled = choose_own_rows(recipe, hazards, data)
    teacher = _teacher(adoptee, opening, teachers, own) if teachers else None
    if teachers and teacher is None:
        return replace(report, why="none was learned: no teacher scores its hazards")
    lessons = split_rows(labelled) if teacher is None else label_answers(adoptee, teacher, risky)
    rows = [*lessons, *choose_own_rows(recipe, hazards, own)]
    report = replace(report, teacher=teacher.told() if teacher else None, learned=_counted(rows, "train"))
    short = _shortage(lessons)
    if short:
        return replace(report, why=f"none was learned: {short}")
    fresh = _fitted(adoptee, recipe, rows, hashes, heads / f".{opening.head}-{os.getpid()}")
    try:
        head = read_latent_head(fresh, opening.head, hazards)
        report = _judged(report, adoptee, opening, head, teacher, lessons, labelled)
        add_to_card(fresh, "adopted", report.evidence())
        return replace(report, folder=_put_away(fresh, heads, opening.head))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _teacher(
    adoptee: Adoptee, opening: UnfitHead, teachers: Mapping[str, BuiltCost | None], own: Sequence[LabelledRow]
) -> Teacher | None:
    built = find_teacher(teachers, opening.text)
    if built is None:
        return None
    setting = [row for row in own if row.split == "calibration" and row.text.strip()]
    return appoint(adoptee, built, opening.spec.hazards, opening.threshold, setting)


def _shortage(rows: Sequence[LabelledRow]) -> str:
    """Which part of rows is too small to go on, in words; "" if none is."""
    for part, use in PARTS.items():
        for label, count in _counted(rows, part).items():
            if count < FEWEST:
                return f"{count} {label} answers to {use}, and {FEWEST} are needed"
    return ""


def _counted(rows: Sequence[LabelledRow], part: str) -> dict[str, int]:
    return {label: sum(row.split == part and row.label == label for row in rows) for label in LABELS}


def _fitted(
    adoptee: Adoptee, recipe: Recipe, rows: Sequence[LabelledRow], hashes: Mapping[str, str], folder: Path
) -> Path:
    fitted = fit_head(recipe, rows, adoptee.weights, adoptee.cache, "adopt")
    training = {
        "command": "ig-guardrail adopt MODEL, with the files below",
        "data_sha256": dict(hashes),
        "settings": dict(fitted.fit.settings),
        "seed": SEED,
        "versions": versions(),
    }
    return write_head(fitted, adoptee.weights, folder, training).folder


def _judged(
    report: HeadReport,
    adoptee: Adoptee,
    opening: UnfitHead,
    head: LatentHead,
    teacher: Teacher | None,
    lessons: Sequence[LabelledRow],
    labelled: Sequence[LabelledRow],
) -> HeadReport:
    """The report with what tells whether the head is better, and whether it is.

    A text cost may have learned from training rows of public data, so test rows tell where there are enough of them.
    """
    held = [row for row in lessons if row.split == "test" and row.source != OWN_ANSWERS]
    if teacher is None:
        return _settled(report, _compare(adoptee, opening, head, held, "the data"))
    agreed = _compare(adoptee, opening, head, held, "its teacher")
    report = replace(report, agreement=agreed.head)
    asked = {row.prompt for row in lessons}
    fresh = [row for row in labelled if row.prompt not in asked and row.source != OWN_ANSWERS]
    everything = [replace(row, split="test") for row in fresh]
    for rows in ([row for row in fresh if row.split == "test"], everything):
        if min(_counted(rows, "test").values()) >= FEWEST:
            return _settled(report, _compare(adoptee, opening, head, rows, "the data"))
    if teacher.built.model.sha256 != opening.text.model.sha256:
        return _settled(report, agreed)
    why = f"nothing tells whether it is better than its teacher; {FEWEST} labelled rows of each label would"
    return replace(report, why=f"put aside: {why}")


def _settled(report: HeadReport, found: HeadComparison) -> HeadReport:
    kept = found.lead.low > 0
    what = "better than" if kept else "put aside: not surely better than"
    return replace(report, comparison=found, kept=kept, why=f"{what} {report.text}, by labels of {found.by}")


def _compare(
    adoptee: Adoptee, opening: UnfitHead, head: LatentHead, rows: Sequence[LabelledRow], by: str
) -> HeadComparison:
    """How well the head, and what serves without it, tell rows of one label from those of the other."""
    chosen = [row for label in LABELS for row in _first(rows, label)]
    chat, room = chat_of(adoptee.weights.tokenizer), adoptee.engine.info.context
    seen = [(row, one) for row in chosen if (one := _as_learned(chat, row, room)) is not None]
    peaks = peak_scores(
        adoptee.engine,
        {"head": head, "text": opening.text.model},
        [one for _, one in seen],
        adoptee.cache,
        what=f"{opening.head} beside {opening.text.entry}",
    )
    scored = ScoredSet(
        np.stack([peaks[name].max(axis=1) for name in ("head", "text")], axis=1),
        np.array([row.label == "harmful" for row, _ in seen], dtype=bool),
        tuple(row.prompt or row.text for row, _ in seen),
    )
    own, text = (estimate(auc, replace(scored, scores=scored.scores[:, column]), SEED) for column in (0, 1))
    counts = {label: sum(row.label == label for row, _ in seen) for label in LABELS}
    return HeadComparison(by, counts, own, text, estimate(auc_lead, scored, SEED))


def _first(rows: Sequence[LabelledRow], label: str) -> list[LabelledRow]:
    """At most `MOST_COMPARED` rows of a label, in an order by their hashes."""
    mine = [row for row in rows if row.label == label]
    return sorted(mine, key=lambda row: digest_of(row.prompt + row.text, ""))[:MOST_COMPARED]


def _as_learned(chat: Chat, row: LabelledRow, room: int) -> LabelledRow | None:
    """A row as heads learn from it: the beginning of the answer, after a prompt; None if there is no room for it."""
    before, after = token_ids(chat, row.prompt, row.text)
    if len(before) + 2 * POINTS[-1] > room or not after:
        return None
    answer = chat.tokenizer.decode(after, clean_up_tokenization_spaces=False).rstrip("\N{REPLACEMENT CHARACTER}")
    return replace(row, prompt=row.prompt.strip()[:MAX_PROMPT_CHARACTERS] or NEUTRAL_PROMPT, response=answer)


def _put_away(fresh: Path, heads: Path, name: str) -> Path:
    """The folder of a head under its name and a piece of its hash."""
    folder = heads / f"{name}-{read_artifact(fresh, 'latent').sha256[:8]}"
    if not folder.exists():
        os.replace(fresh, folder)
    return folder
