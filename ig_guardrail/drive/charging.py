"""The account of a finished answer: the scorer and the gate of decoding charge it, and nothing is denied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ig_guardrail.budget import BudgetRule, SafetyState
from ig_guardrail.drive.cost_registry import CostRegistry
from ig_guardrail.drive.runners import Waiting
from ig_guardrail.drive.scorer import Scorer, of_shown_thoughts
from ig_guardrail.engine.base import Engine
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.types import Budget, Charge, Measure, Node, Prompt


def charge_answer(engine: Engine, costs: CostRegistry, prompt: Prompt, node: Node) -> Waiting[tuple[Charge, ...]]:
    """Every charge of an answer to a prompt, in order; at its end too where the node has a finish.

    Raises CostFailure if a cost model fails.
    """
    due = open_account(node, costs.rules).due(node)
    measures = yield from Scorer(costs, prompt, thoughts=of_shown_thoughts(engine)).measure(node, due)
    return account_of(node, costs.rules, measures)


def account_of(
    node: Node, rules: Sequence[BudgetRule], measures: Sequence[Measure], opening: SafetyState | None = None
) -> tuple[Charge, ...]:
    """The charges of an answer with these measures, which are exactly those due. Raises CostFailure for others."""
    gate = open_account(node, rules, opening)
    gate.commit(node, measures)
    return gate.charges


def open_account(node: Node, rules: Sequence[BudgetRule], opening: SafetyState | None = None) -> Gate:
    """A gate at the root of an answer that charges all rules and denies nothing.

    opening: what was spent before the first token, where budgets are shared with earlier answers
    """
    return Gate(node.path()[0], [replace(rule, budget=noted_only(rule.budget)) for rule in rules], Hold(), opening)


def noted_only(budget: Budget) -> Budget:
    """The budget in shadow: charged and written down, never enforced."""
    return replace(budget, mode="shadow")
