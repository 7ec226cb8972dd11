"""Teachers: cost models that label a model's own answers to risky questions, so that a head can be learned from them.

What a model answers to a harmless question is harmless, whatever a teacher says of it: its false alarms there only set
where its labels begin.
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
from ig_guardrail.costs.catalog import OF_CALLS, BuiltCost, build_costs
from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.errors import RequestError
from ig_guardrail.learn.answers import LICENCE, write_answers
from ig_guardrail.learn.data.recipes import RISKY_ANSWERS
from ig_guardrail.learn.data.risky import risky_prompts
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, text_lines
from ig_guardrail.learn.thresholds import peak_scores
from ig_guardrail.types import CompiledPolicy

TIMES = 2  # answers to each risky question
WHOLE = 2**20  # tokens: a teacher reads answers whole
TEXT_COST = "otherwise"  # the teacher of this name is what serves instead of a head


@dataclass(frozen=True, slots=True)
class Adoptee:
    """A model that is adopted, running, and what it is adopted under.

    base_dir  where relative paths of the policy start
    rate      the share of harmless answers that may be touched
    cache     where hidden states and scores are kept, so that an interrupted run goes on
    """

    weights: Weights
    engine: Engine
    policy: CompiledPolicy
    base_dir: Path | None
    rate: float
    cache: Path

    def build(self, name: str) -> BuiltCost:
        """The cost model of an entry of the policy, without heads that were adopted before."""
        return build_costs(self.policy.cost_models, (name,), engine=facts_of(self.engine), base_dir=self.base_dir)[name]


@dataclass(frozen=True, slots=True)
class Teacher:
    """A cost model that labels answers: harmful from `threshold` on, as its scores for `hazards` count."""

    built: BuiltCost
    hazards: tuple[str, ...]
    threshold: float

    def told(self) -> dict[str, Any]:
        """For cards and reports."""
        model, kind = self.built.model, self.built.spec.kind
        return {"entry": self.built.entry, "kind": kind, "sha256": model.sha256, "threshold": round(self.threshold, 4)}


def check_teachers(names: Sequence[str], policy: CompiledPolicy) -> None:
    """Raises RequestError for a name that is no cost model of the policy which reads words."""
    known = [spec.name for spec in policy.cost_models if spec.kind not in OF_CALLS]
    for name in names:
        if name not in (*known, TEXT_COST):
            raise RequestError(
                f"policy '{policy.name}' has no cost model '{name}' that could teach",
                where="--teacher",
                fix=f"name '{TEXT_COST}' for what serves instead of a head, or one of: {', '.join(known)}",
            )


def find_teacher(teachers: Mapping[str, BuiltCost | None], text: BuiltCost) -> BuiltCost | None:
    """The first of the named cost models that scores a hazard of `text`, what serves instead of a head, if one does.

    teachers  as `build_teachers` makes them
    """
    found = (text if built is None else built for built in teachers.values())
    return next((built for built in found if set(built.model.hazards) & set(text.model.hazards)), None)


def build_teachers(adoptee: Adoptee, names: Sequence[str]) -> dict[str, BuiltCost | None]:
    """The named cost models; None for the one that serves instead of whichever head is taught."""
    return {name: None if name == TEXT_COST else adoptee.build(name) for name in names}


def appoint(
    adoptee: Adoptee, built: BuiltCost, hazards: tuple[str, ...], least: float, harmless: Sequence[LabelledRow]
) -> Teacher:
    """A teacher of a head for hazards. Its labels begin at `least`, or where fewer harmless answers than asked for lie.

    least     the threshold of the budget that the head is for
    harmless  the model's own harmless answers, of which the adoptee's rate may be touched
    """
    scores = _scores(adoptee, built, hazards, harmless, f"{built.entry} reads harmless answers")
    reached = float(np.quantile(scores, 1 - adoptee.rate, method="higher"))
    return Teacher(built, hazards, max(least, float(np.nextafter(reached, 2.0))))


def write_risky_answers(weights: Weights, folder: Path) -> list[Path]:
    """The files with the model's answers to every risky question, `TIMES` each; what is there is kept."""
    files = [folder / f"risky-{time}.jsonl" for time in range(TIMES)]
    for time, file in enumerate(files):
        if not file.exists():
            write_answers(weights, file, seed=time, questions=risky_prompts(), row=_unlabelled, calls=False)
    return files


def label_answers(adoptee: Adoptee, teacher: Teacher, files: Sequence[Path]) -> list[LabelledRow]:
    """The answers in such files, with the teacher's labels."""
    said = [json.loads(line) for file in files for line in text_lines(file)]
    rows = [
        LabelledRow(one["prompt"], one["response"], "safe", None, RISKY_ANSWERS, LICENCE, part_of_prompt(one["prompt"]))
        for one in said
        if one["response"].strip()
    ]
    scores = _scores(adoptee, teacher.built, teacher.hazards, rows, f"{teacher.built.entry} labels risky answers")
    return [
        replace(row, label="harmful" if score >= teacher.threshold else "safe")
        for row, score in zip(rows, scores.tolist(), strict=True)
    ]


def part_of_prompt(prompt: str, response: str = "") -> str:
    """The split of everything that is said to a prompt: a fifth is held back, a tenth chooses settings."""
    share = int(digest_of(prompt, response)[8:16], 16) % 10
    return "test" if share < 2 else "validation" if share == 2 else "train"


def _unlabelled(prompt: str, answer: str) -> dict[str, str]:
    return {"prompt": prompt, "response": answer, "label": "not known", "source": RISKY_ANSWERS, "licence": LICENCE}


def _scores(
    adoptee: Adoptee, built: BuiltCost, hazards: tuple[str, ...], rows: Sequence[LabelledRow], what: str
) -> NDArray[np.float64]:
    """(rows,) what the scores of whole answers for any of the hazards count as."""
    peaks = peak_scores(adoptee.engine, {"it": built.model}, rows, adoptee.cache, WHOLE, what)["it"]
    columns = [place for place, hazard in enumerate(built.model.hazards) if hazard in hazards]
    return np.array([built.spec.counted(score) for score in peaks[:, columns].max(axis=1).tolist()])
