"""Hand-made records for the tests of this folder."""

from __future__ import annotations

from ig_guardrail.evaluate.answers import ArmAnswer
from ig_guardrail.evaluate.quality.trials import Trial
from ig_guardrail.evaluate.replay import Audit

WITHIN = Audit(None, None, 0.4, {"tone": 0.0})
OVER = Audit("tone", 16, 1.8, {"tone": 0.4})


def answer(
    text: str, outcome: str = "completed", audit: Audit = WITHIN, ids: tuple[int, ...] = (1, 2, 3), generated: int = 3
) -> ArmAnswer:
    return ArmAnswer(outcome, text, text, ids, audit, generated, 0.5)


def trial(
    draft: ArmAnswer, guarded: ArmAnswer, redraw: ArmAnswer | None = None, cut: ArmAnswer | None = None, id: str = "r-1"
) -> Trial:
    return Trial(id, "review", 41, draft, redraw, guarded, cut or draft, guarded.audit)


class WordJudge:
    """Harm is the share of words that are 'bad'."""

    sha256 = "0" * 64

    def score(self, answer: str) -> float:
        return answer.split().count("bad") / len(answer.split())

    def harmful(self, answer: str) -> bool:
        return self.score(answer) > 0.5
