"""The prompt check: input turns against text cost models, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ig_guardrail.costs.calls.decoded import fired_rules
from ig_guardrail.costs.combine import evaluate, hazards_behind
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.runners import Waiting
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.drive.scoring.judging import START, await_scores, begin_scoring
from ig_guardrail.types import Message, Piece, Prompt, PromptRule


@dataclass(frozen=True, slots=True)
class PromptCheck:
    """The highest score of an input turn, whether it exceeds the rule's threshold, and what follows.

    fired    by cost model, the rules that the score rests on, where one can say
    hazards  that a score above the threshold rests on
    """

    score: float = 0.0
    exceeded: bool = False
    action: str = "none"
    raw: dict[str, float] = field(default_factory=dict)
    fired: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    hazards: tuple[str, ...] = ()


def check_prompt_text(run: Run) -> Waiting[PromptCheck]:
    """Score every user and tool turn on its own and take the worst; nothing where the run is unguarded.

    Raises CostFailure if a cost model fails, whatever its `on_error`: there is no later check that would catch it.
    """
    rule = run.policy.prompt if run.guarded else None
    return (yield from score_prompt(rule, run.costs, run.prompt))


def score_prompt(rule: PromptRule | None, costs: CostRegistry, prompt: Prompt) -> Waiting[PromptCheck]:
    """The same for a prompt under a rule; nothing without one."""
    turns = [turn for turn in prompt.turns if turn.role in ("user", "tool")]
    return (yield from score_turns(rule, costs, prompt, turns))


def score_turns(
    rule: PromptRule | None, costs: CostRegistry, prompt: Prompt, turns: Sequence[Message]
) -> Waiting[PromptCheck]:
    """The same for input turns. prompt: what cost models are told of the conversation"""
    if rule is None or not turns:
        return PromptCheck()
    raws: list[dict[str, float]] = [{} for _ in turns]
    fired: list[dict[str, tuple[str | int, ...]]] = [{} for _ in turns]
    by_hazard: list[dict[str, dict[str, float]]] = [{} for _ in turns]
    pieces = [Piece(turn.text, ended=True, role=turn.role) for turn in turns]
    for name in rule.cost.models():
        cost = costs.by_name[name]
        call = begin_scoring(cost, prompt, [(START, piece) for piece in pieces])
        folds = yield from await_scores(cost, call, len(turns))
        for raw, own, scored, fold in zip(raws, fired, by_hazard, folds, strict=True):
            raw[name] = max(fold.scores)
            scored[name] = dict(zip(cost.model.hazards, fold.scores, strict=True))
            rules = fired_rules(cost.model, fold.state)
            own.update({name: rules} if rules else {})
    scores = [evaluate(rule.cost, raw) for raw in raws]
    worst = max(range(len(scores)), key=scores.__getitem__)
    exceeding = [scored for score, scored in zip(scores, by_hazard, strict=True) if score > rule.threshold]
    hazards = {one: None for scored in exceeding for one in _hazards(rule, scored)}
    action = rule.on_exceed if exceeding else "none"
    return PromptCheck(scores[worst], bool(exceeding), action, raws[worst], fired[worst], tuple(hazards))


def _hazards(rule: PromptRule, scores: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The hazards that the score of an input turn which exceeds a rule rests on. scores: by cost model and hazard."""
    named = dict.fromkeys(hazard for own in scores.values() for hazard in own)
    return hazards_behind(rule.cost, scores, tuple(named), rule.threshold)
