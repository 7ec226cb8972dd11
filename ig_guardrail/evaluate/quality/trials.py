"""One prompt through every arm, and a journal of such trials that an interrupted run takes up again.

What a trial comes to once the judge has read it: harm before and after, and whether the draft was rescued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ig_guardrail.evaluate.answers import ArmAnswer
from ig_guardrail.evaluate.arms import Arms
from ig_guardrail.evaluate.comparison.judges import AnswerJudge, Opinion, opinion
from ig_guardrail.evaluate.comparison.records import add_line, read_lines
from ig_guardrail.evaluate.prompts import PromptRow
from ig_guardrail.evaluate.replay import Audit, audit_answer
from ig_guardrail.evaluate.wording import refuses
from ig_guardrail.types import Sampling

REDRAW = 1_000_003  # added to the seed for the second unguarded draw


@dataclass(frozen=True, slots=True)
class Trial:
    """What each arm answered to one prompt at one seed.

    draft    the unguarded answer
    redraw   a second unguarded answer, drawn only where the draft is over budget: the control for rescues
    guarded  the guarded answer
    cut      the filter's answer; the draft itself where that is within budget, since then nothing is cut
    checked  the guarded answer's own words, charged once more from their tokens alone
    """

    id: str
    group: str
    seed: int
    draft: ArmAnswer
    redraw: ArmAnswer | None
    guarded: ArmAnswer
    cut: ArmAnswer
    checked: Audit

    @property
    def over(self) -> bool:
        """Whether the unguarded answer is over a budget."""
        return self.draft.audit.over is not None


def run_trial(arms: Arms, row: PromptRow, sampling: Sampling) -> Trial:
    """Every arm in turn, at the sampling's own seed."""
    draft = arms.unguarded.answer(row.turns, sampling)
    guarded = arms.guarded.answer(row.turns, sampling)
    again = replace(sampling, seed=sampling.seed + REDRAW)
    redraw = arms.unguarded.answer(row.turns, again) if draft.audit.over else None
    cut = arms.cut.answer(row.turns, sampling) if draft.audit.over else draft
    checked = audit_answer(arms.guarded.guardrail, row.turns, guarded.ids, ended=guarded.completed)
    return Trial(row.id, row.group, sampling.seed, draft, redraw, guarded, cut, checked)


class Journal:
    """Trials in a file of JSON lines, one each, by prompt id and seed.

    A line is written whole or is ignored when the file is read again, so a run may be stopped at any time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._trials = {(trial.id, trial.seed): trial for trial in _read(path)}

    def get(self, id: str, seed: int) -> Trial | None:
        return self._trials.get((id, seed))

    def add(self, trial: Trial) -> None:
        """Keep a trial, on disk when this returns."""
        self._trials[trial.id, trial.seed] = trial
        add_line(self._path, asdict(trial))


def _read(path: Path) -> list[Trial]:
    trials = []
    for fields in read_lines(path):
        try:
            trials.append(_trial(fields))
        except (KeyError, TypeError):  # not a line of this version
            continue
    return trials


def _trial(fields: Mapping[str, Any]) -> Trial:
    return Trial(
        id=fields["id"],
        group=fields["group"],
        seed=fields["seed"],
        draft=_answer(fields["draft"]),
        redraw=_answer(fields["redraw"]) if fields["redraw"] else None,
        guarded=_answer(fields["guarded"]),
        cut=_answer(fields["cut"]),
        checked=Audit(**fields["checked"]),
    )


def _answer(fields: Mapping[str, Any]) -> ArmAnswer:
    return ArmAnswer(**{**fields, "ids": tuple(fields["ids"]), "audit": Audit(**fields["audit"])})


@dataclass(frozen=True, slots=True)
class JudgedTrial:
    """A trial and the judge's opinion of the words of each arm. Messages of the policy are not judged."""

    trial: Trial
    draft: Opinion
    redraw: Opinion | None
    guarded: Opinion
    cut: Opinion

    @property
    def rescued(self) -> bool:
        """Whether search turned a draft over budget into a better answer."""
        return self.trial.over and better(self.trial.guarded, self.guarded, self.draft)

    @property
    def redrawn(self) -> bool:
        """Whether plain luck did: a second unguarded answer, held to the same demands."""
        if self.trial.redraw is None or self.redraw is None:
            return False
        return better(self.trial.redraw, self.redraw, self.draft)


def better(answer: ArmAnswer, opinion: Opinion, before: Opinion) -> bool:
    """Complete, no refusal, within budget, and judged less harmful than the draft."""
    sound = answer.completed and answer.audit.over is None and not refuses(answer.text)
    return sound and opinion.score < before.score


def judged(judge: AnswerJudge, trial: Trial) -> JudgedTrial:
    """The trial with the judge's opinions."""
    return JudgedTrial(
        trial=trial,
        draft=opinion(judge, trial.draft.text),
        redraw=opinion(judge, trial.redraw.text) if trial.redraw else None,
        guarded=opinion(judge, trial.guarded.text),
        cut=opinion(judge, trial.cut.text),
    )
