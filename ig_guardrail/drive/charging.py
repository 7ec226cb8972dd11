"""The account of a finished answer: the scorer and the gate of decoding charge it, and nothing is denied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ig_guardrail.budget import BudgetRule, SafetyState
from ig_guardrail.drive.contexts import read_text
from ig_guardrail.drive.prompt_check import PromptCheck, score_prompt
from ig_guardrail.drive.runners import Waiting
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.drive.scoring.scorer import NO_PROMPT, Scorer
from ig_guardrail.engine.base import Engine
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.text.calls import format_message
from ig_guardrail.types import AssistantMessage, Budget, Charge, Measure, Message, Node, Prompt, PromptRule


@dataclass(frozen=True, slots=True)
class ChargedAnswer:
    """An answer, all its charges in order, and what its prompt scored.

    node       how the answer was read
    left       by budget, what would remain of it
    hazards    by hazard, the highest score that it alone gives to a budget
    over       by budget, the hazards that scores above its threshold rest on
    fail_open  what failed and was let pass, since the policy says so
    """

    prompt: PromptCheck
    node: Node
    charges: tuple[Charge, ...]
    left: Mapping[str, float]
    hazards: Mapping[str, float]
    over: Mapping[str, tuple[str, ...]]
    fail_open: tuple[str, ...]


def charge_text(
    engine: Engine,
    costs: CostRegistry,
    rule: PromptRule | None,
    asked: str,
    said: AssistantMessage,
    opening: SafetyState | None = None,
    prompt: Prompt | None = None,
) -> Waiting[ChargedAnswer]:
    """The account of what is said in answer to a prompt ("": it is not known, and not checked); nothing is decoded.

    opening: what was spent before the first token. prompt: the tokens of `asked`, where they are known already
    Raises CostFailure; RequestError where it does not fit the context.
    """
    prompt = asked_of(engine, asked) if prompt is None else prompt
    check = yield from score_prompt(rule if asked.strip() else None, costs, prompt)
    read = yield from read_text(engine, prompt, format_message(said, prompt.notation), costs.layers)
    words = len(said.words) if said.calls and read.text.startswith(said.words) else read.words
    node, scorer = replace(read, finish="stop", words=words), Scorer.of_written(engine, costs, prompt)
    gate = open_account(node, costs.rules, opening)
    due = gate.due(node)
    measures = yield from scorer.measure(node, due)
    gate.commit(node, measures)
    over = {one.budget: one.hazards for one in measures if one.hazards}
    return ChargedAnswer(
        check, node, gate.charges, gate.balance(), scorer.hazard_scores(node, due), over, tuple(scorer.fail_open)
    )


def asked_of(engine: Engine, asked: str) -> Prompt:
    """The prompt of an answer that is judged. "": it is not known"""
    return engine.encode((Message("user", asked) if asked.strip() else NO_PROMPT,))


def charge_answer(engine: Engine, costs: CostRegistry, prompt: Prompt, node: Node) -> Waiting[tuple[Charge, ...]]:
    """Every charge of an answer to a prompt, in order; at its end too where the node has a finish.

    Raises CostFailure if a cost model fails.
    """
    due = open_account(node, costs.rules).due(node)
    measures = yield from Scorer.of_written(engine, costs, prompt).measure(node, due)
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
