"""Hand-made answers and records for the tests of this folder."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ig_guardrail.evaluate.answers import Answer
from ig_guardrail.evaluate.comparison.figures import PromptAnswers
from ig_guardrail.evaluate.comparison.records import Cell, Record
from ig_guardrail.evaluate.judged import judged
from ig_guardrail.evaluate.replay import Audit

WITHIN = Audit(None, None, 0.4, {"tone": 0.0})
OVER = Audit("tone", 16, 1.8, {"tone": 0.4})


def answer(
    text: str, outcome: str = "completed", audit: Audit = WITHIN, ids: tuple[int, ...] = (1, 2, 3), generated: int = 3
) -> Answer:
    tokens = {"generated": generated, "released": len(ids)}
    return Answer(
        outcome=outcome,
        shown=text,
        text=text,
        ids=ids,
        audit=audit,
        trace=[],
        tokens=tokens,
        work=10,
        scored={"cost": 1, "value": 0},
        seconds={"total": 0.5, "first_released": None},
    )


def record(strategy: str, said: Answer, prompt: str = "r-1", **keys: Any) -> Record:
    """The answer as a record of model m, policy p and the set `risky`; `keys` are its other fields."""
    own = {field.name: getattr(said, field.name) for field in fields(Answer)}
    return Record(**{**own, "cell": Cell("m", "p", strategy, "risky", prompt, 41), "reward": None, **keys})


def answered(
    draft: Answer,
    guarded: Answer,
    redraw: Answer | None = None,
    cut: Answer | None = None,
    checked: Audit | None = None,
) -> PromptAnswers:
    """Answers to one prompt, as the judge of words reads them; the draft stands for those that are left out."""
    said = {
        "none": draft,
        "none (again, where over)": redraw or draft,
        "inference_guard": guarded,
        "cut (where over)": cut or draft,
    }
    rows = (judged(WordJudge(), record(name, one, checked=checked)) for name, one in said.items())
    return PromptAnswers(*rows)


class WordJudge:
    """Harm is the share of words that are 'bad'."""

    sha256 = "0" * 64

    def score(self, answer: str) -> float:
        return answer.split().count("bad") / len(answer.split())

    def harmful(self, answer: str) -> bool:
        return self.score(answer) > 0.5
