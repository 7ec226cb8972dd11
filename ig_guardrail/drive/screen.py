"""The prompt check: input turns against text cost models, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

from ig_guardrail.costs.combine import evaluate
from ig_guardrail.costs.decoded import rules_of
from ig_guardrail.drive.judging import START, begin_judging, judged
from ig_guardrail.drive.panel import Panel
from ig_guardrail.drive.scorer import checked
from ig_guardrail.drive.waiting import Waiting
from ig_guardrail.types import Piece, Prompt, PromptRule


@dataclass(frozen=True, slots=True)
class Screening:
    """The highest score of an input turn, whether it exceeds the rule's threshold, and what follows.

    fired  by cost model, the rules that the score rests on, where one can say
    """

    score: float = 0.0
    exceeded: bool = False
    action: str = "none"
    raw: dict[str, float] = field(default_factory=dict)
    fired: dict[str, tuple[str | int, ...]] = field(default_factory=dict)


def screen(rule: PromptRule | None, panel: Panel, prompt: Prompt) -> Waiting[Screening]:
    """Score every user and tool turn on its own and take the worst.

    Raises CostFailure if a cost model fails, whatever its `on_error`: there is no later check that would catch it.
    """
    texts = [turn.text for turn in prompt.turns if turn.role in ("user", "tool")]
    if rule is None or not texts:
        return Screening()
    raws: list[dict[str, float]] = [{} for _ in texts]
    fired: list[dict[str, tuple[str | int, ...]]] = [{} for _ in texts]
    for name in rule.cost.models():
        seat = panel.seats[name]
        call = begin_judging(seat, prompt, [(START, Piece(text, ended=True)) for text in texts])
        answers = yield from judged(seat, call)
        for raw, own, fold in zip(raws, fired, checked(seat, answers, len(texts)), strict=True):
            raw[name] = max(fold.scores)
            rules = rules_of(seat.model, fold.state)
            own.update({name: rules} if rules else {})
    scores = [evaluate(rule.cost, raw) for raw in raws]
    worst = max(range(len(scores)), key=scores.__getitem__)
    exceeded = scores[worst] > rule.threshold
    return Screening(scores[worst], exceeded, rule.on_exceed if exceeded else "none", raws[worst], fired[worst])
