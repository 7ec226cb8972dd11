"""Charges a finished text to a policy's budgets once more: what would this answer have cost, whoever wrote it?

The same scorer and gate do the work as in decoding, but nothing that decoding remembers is used: the prompt is read
again, the tokens are appended to it, and every charge point is scored again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ig_guardrail.budget import pressure
from ig_guardrail.drive.charging import charge_answer
from ig_guardrail.drive.contexts import read_answers
from ig_guardrail.drive.runners import finish
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Budget, Charge, Message


@dataclass(frozen=True, slots=True)
class Audit:
    """What an answer cost under the enforced budgets.

    over   the first budget that was overdrawn, or None
    at     the answer position where that happened, tokens
    peak   the highest score / threshold at any charge point; 1 is at a threshold
    spend  undiscounted cost by budget id, scores above the threshold times weight
    """

    over: str | None = None
    at: int | None = None
    peak: float = 0.0
    spend: Mapping[str, float] = field(default_factory=dict)


def audit_answer(guardrail: Guardrail, turns: Sequence[Message], ids: Sequence[int], ended: bool = True) -> Audit:
    """The account of the answer `ids` to `turns` under the guardrail's policy; nothing is denied, all is charged.

    ended: whether the answer is whole; a prefix is not charged at its end. Raises RequestError if prompt and answer do
    not fit the context, CostFailure if a cost model fails.
    """
    if not ids:
        return audit_charges((), guardrail.policy.budgets)
    engine, costs = guardrail.engine, guardrail.costs
    prompt = engine.encode(turns)
    (node,) = read_answers(engine, prompt, [tuple(ids)], costs.layers)
    whole = replace(node, finish="stop" if ended else None)
    return audit_charges(finish(charge_answer(engine, costs, prompt, whole)), guardrail.policy.budgets)


def audit_charges(charges: Iterable[Charge], budgets: Iterable[Budget]) -> Audit:
    """The same account from charges that a receipt holds, in order. Budgets in shadow are left out."""
    thresholds = {budget.id: budget.threshold for budget in budgets if budget.mode == "enforce"}
    lines = [line for line in charges if line.budget in thresholds]
    over = next((line for line in lines if line.z_after < 0), None)
    spend = dict.fromkeys(thresholds, 0.0)
    for line in lines:
        spend[line.budget] += line.cost
    peak = max((pressure(line.score, thresholds[line.budget]) for line in lines), default=0.0)
    return Audit(over.budget if over else None, over.position if over else None, peak, spend)
