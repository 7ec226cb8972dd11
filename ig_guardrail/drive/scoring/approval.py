"""The start-up check: a policy's own messages must keep its budgets, since they are shown without being charged.

But for those that somebody approved by hand: what they say is their owner's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ig_guardrail.budget import SafetyState, settle
from ig_guardrail.costs.base import heaviest_words
from ig_guardrail.drive.contexts import read_texts
from ig_guardrail.drive.runners import Waiting
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.drive.scoring.scorer import NO_PROMPT, Scorer
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import PolicyError
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.types import Denied, Measure, PolicyMessage

LONGEST = 1_000  # tokens of a message that are read
FIX = "word them differently, or approve what your team answers for: `{text: ..., approved: {owner: ..., reason: ...}}`"
WHY = "messages are shown as they are, so they must pass the budgets they stand in for"


@dataclass(frozen=True, slots=True)
class OverdrawnMessage:
    """A message that a budget does not let pass.

    score, threshold  the budget's score where it is overdrawn, and what it charges above
    raw     by cost model
    words   by cost model, the words that raise its score most, where it can say
    fired   by cost model, the patterns that match
    """

    name: str
    budget: str
    score: float
    threshold: float
    raw: Mapping[str, float]
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fired: Mapping[str, Sequence[str | int]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"messages.{self.name} is over budget '{self.budget}' itself ({self.told})"

    @property
    def told(self) -> str:
        """By how much, and why."""
        return "; ".join([f"score {self.score:.2f}, threshold {self.threshold:g}", *self.reasons()])

    def reasons(self) -> Iterator[str]:
        """Which cost model says so, and what it rests on."""
        for model, score in self.raw.items():
            if model in self.words:
                yield f"`{model}` {score:.2f} on {', '.join(map(repr, self.words[model]))}"
            elif model in self.fired:
                yield f"`{model}` on {', '.join(map(_pattern, self.fired[model]))}"
            elif len(self.raw) > 1 and score > 0:
                yield f"`{model}` {score:.2f}"


def approve_messages(engine: Engine, costs: CostRegistry, messages: Sequence[PolicyMessage]) -> Waiting[None]:
    """Raises PolicyError naming each message that is over a budget."""
    found = yield from overdrawn_messages(engine, costs, messages)
    if found:
        raise PolicyError("; ".join(map(str, found)), where="start-up check", why=WHY, fix=FIX)


def overdrawn_messages(
    engine: Engine, costs: CostRegistry, messages: Sequence[PolicyMessage]
) -> Waiting[tuple[OverdrawnMessage, ...]]:
    """Put every message that nobody approved through a gate of its own, and tell which are over which budgets."""
    asked = [message for message in messages if message.approved is None]
    prompt = engine.encode((NO_PROMPT,))
    nodes = yield from read_texts(engine, prompt, [message.text for message in asked], costs.layers, LONGEST)
    found: list[OverdrawnMessage] = []
    for message, node in zip(asked, nodes, strict=True):
        whole = replace(node, finish="stop")
        gate = Gate(node.path()[0], costs.rules, Hold())
        scorer = Scorer.of_written(engine, costs, prompt)
        measures = yield from scorer.measure(whole, gate.due(whole))
        if isinstance(gate.commit(whole, measures), Denied):
            found += _overdrawn(message, measures, costs)
    return tuple(found)


def _overdrawn(message: PolicyMessage, measures: Sequence[Measure], costs: CostRegistry) -> Iterator[OverdrawnMessage]:
    """Each budget that the gate would not let it pass."""
    over = {line.budget for line in settle(costs.rules, SafetyState(), measures)[1] if line.z_after < 0}
    for budget in (rule.budget for rule in costs.enforced if rule.budget.id in over):
        worst = max((one for one in measures if one.budget == budget.id), key=lambda one: one.score)
        heard = [name for name, score in worst.raw.items() if score > 0]
        weighed = {name: heaviest_words(costs.by_name[name].model, message.text) for name in heard}
        words = {name: tuple(found) for name, found in weighed.items() if found}
        yield OverdrawnMessage(message.name, budget.id, worst.score, budget.threshold, worst.raw, words, worst.fired)


def _pattern(fired: str | int) -> str:
    return f"pattern {fired}, counted from 0" if isinstance(fired, int) else fired
