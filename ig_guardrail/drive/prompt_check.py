"""The prompt check: input turns against text cost models, before anything is decoded.

Start-up check: the policy's own messages must keep its budgets, since they are shown without being charged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ig_guardrail.costs.calls.decoded import fired_rules
from ig_guardrail.costs.combine import evaluate
from ig_guardrail.drive.cost_registry import CostRegistry
from ig_guardrail.drive.judging import START, await_scores, begin_scoring
from ig_guardrail.drive.run import Run
from ig_guardrail.drive.runners import Wait, Waiting
from ig_guardrail.drive.scorer import Scorer, check_scores, of_shown_thoughts
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import PolicyError
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.types import Denied, Message, Messages, Node, Piece, Prompt, PromptRule, Sampling


@dataclass(frozen=True, slots=True)
class PromptCheck:
    """The highest score of an input turn, whether it exceeds the rule's threshold, and what follows.

    fired  by cost model, the rules that the score rests on, where one can say
    """

    score: float = 0.0
    exceeded: bool = False
    action: str = "none"
    raw: dict[str, float] = field(default_factory=dict)
    fired: dict[str, tuple[str | int, ...]] = field(default_factory=dict)


def check_prompt_text(run: Run) -> Waiting[PromptCheck]:
    """Score every user and tool turn on its own and take the worst; nothing where the run is unguarded.

    Raises CostFailure if a cost model fails, whatever its `on_error`: there is no later check that would catch it.
    """
    rule = run.policy.prompt if run.guarded else None
    return (yield from score_prompt(rule, run.costs, run.prompt))


def score_prompt(rule: PromptRule | None, costs: CostRegistry, prompt: Prompt) -> Waiting[PromptCheck]:
    """The same for a prompt under a rule; nothing without one."""
    turns = [turn for turn in prompt.turns if turn.role in ("user", "tool")]
    if rule is None or not turns:
        return PromptCheck()
    raws: list[dict[str, float]] = [{} for _ in turns]
    fired: list[dict[str, tuple[str | int, ...]]] = [{} for _ in turns]
    pieces = [Piece(turn.text, ended=True, role=turn.role) for turn in turns]
    for name in rule.cost.models():
        seat = costs.seats[name]
        call = begin_scoring(seat, prompt, [(START, piece) for piece in pieces])
        answers = yield from await_scores(seat, call)
        for raw, own, fold in zip(raws, fired, check_scores(seat, answers, len(turns)), strict=True):
            raw[name] = max(fold.scores)
            rules = fired_rules(seat.model, fold.state)
            own.update({name: rules} if rules else {})
    scores = [evaluate(rule.cost, raw) for raw in raws]
    worst = max(range(len(scores)), key=scores.__getitem__)
    exceeded = scores[worst] > rule.threshold
    return PromptCheck(scores[worst], exceeded, rule.on_exceed if exceeded else "none", raws[worst], fired[worst])


def approve_messages(engine: Engine, costs: CostRegistry, messages: Messages) -> Waiting[None]:
    """Put every message through a gate of its own. Raises PolicyError naming each that is over a budget."""
    prompt = engine.encode((Message("user", "Hello."),))
    root: Node = yield Wait(engine.open(prompt, Sampling(max_tokens=1_000), costs.layers))
    try:
        faults = []
        named = [(f"messages.refusal.{tag}", text) for tag, text in messages.refusal.items()]
        named += [(f"messages.closing.{tag}", text) for tag, text in messages.closing.items()]
        for where, text in named:
            (node,) = yield Wait(engine.append([(root, text)]))
            whole = replace(node, finish="stop")
            gate = Gate(root, costs.rules, Hold())
            scorer = Scorer(costs, prompt, thoughts=of_shown_thoughts(engine))
            measures = yield from scorer.measure(whole, gate.due(whole))
            reply = gate.commit(whole, measures)
            if isinstance(reply, Denied):
                worst = max(measure.score for measure in measures if measure.budget == reply.budget)
                faults.append(f"{where} is over budget '{reply.budget}' itself (score {worst:.2f})")
    finally:
        engine.close(root)
    if faults:
        raise PolicyError(
            "; ".join(faults),
            where="start-up check",
            why="messages are shown as they are, so they must pass the budgets they stand in for",
            fix="word them differently",
        )
