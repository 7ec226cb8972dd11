"""Start-up check: the policy's own messages must keep its budgets, since they are shown without being charged."""

from __future__ import annotations

from dataclasses import replace

from ig_guardrail.drive.panel import Panel
from ig_guardrail.drive.scorer import Scorer
from ig_guardrail.drive.waiting import Wait, Waiting
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import PolicyError
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.types import Denied, Messages, Node, Sampling, Turn


def approve_messages(engine: Engine, panel: Panel, messages: Messages) -> Waiting[None]:
    """Put every message through a gate of its own. Raises PolicyError naming each that is over a budget."""
    prompt = engine.encode((Turn("user", "Hello."),))
    root: Node = yield Wait(engine.open(prompt, Sampling(max_tokens=1_000), panel.layers))
    try:
        faults = []
        named = [(f"messages.refusal.{tag}", text) for tag, text in messages.refusal.items()]
        named += [(f"messages.closing.{tag}", text) for tag, text in messages.closing.items()]
        for where, text in named:
            (node,) = yield Wait(engine.append([(root, text)]))
            whole = replace(node, finish="stop")
            gate = Gate(root, panel.rules, Hold())
            measures = yield from Scorer(panel, prompt).measure(whole, gate.due(whole))
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
