"""The `tools` section and budgets of conversations: what they compile to, and what is refused."""

from __future__ import annotations

import pytest

from ig_guardrail.policy import compile_text
from tests.golden.conversations import POLITE


def faults(text: str) -> list[str]:
    return [f"{fault.code}: {fault.message}" for fault in compile_text(text, "x.yaml")[1]]


def test_tool_rules_become_a_cost_model_and_a_ban() -> None:
    rules = 'tools: {allow: [pay], deny: ["x*"], arguments: [{argument: amount, most: 5}]}\n'
    policy, found = compile_text(POLITE + rules, "x.yaml")
    assert (policy is not None, found) == (True, ())
    assert policy is not None
    model, budget = policy.cost_models[-1], policy.budgets[-1]
    assert (model.name, model.kind, budget.id) == ("tools", "tools", "tools")
    assert (budget.threshold, budget.budget, budget.mode) == (0, 0, "enforce")
    bare, _ = compile_text(POLITE, "x.yaml")
    assert bare is not None
    assert policy.sha256 != bare.sha256
    assert "tools" not in bare.normal_form


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("tools: {}", "P027: `tools` is empty"),
        ("tools: {arguments: [{argument: a}]}", "P015: this argument rule limits nothing"),
        ("tools: {arguments: [{argument: a, least: 2, most: 1}]}", "P031: `least` is 2, but `most` is 1"),
        ('tools: {deny: ["rm -rf"]}', "P020: "),
        ("tools: {arguments: [{argument: a, matches: '('}]}", "P032: "),
        ("tools: {forbid: [a]}", "P013: unknown key `forbid`"),
    ],
)
def test_mistakes_in_tool_rules(written: str, fault: str) -> None:
    found = faults(f"{POLITE}{written}\n")
    assert any(one.startswith(fault) for one in found), found


def test_the_name_of_the_section_is_taken() -> None:
    text = POLITE.replace("id: rudeness", "id: tools") + "tools: {deny: [a]}\n"
    assert faults(text) == ["P026: the name `tools` is taken by the section `tools`"]


def test_a_budget_of_a_conversation() -> None:
    policy, found = compile_text(
        POLITE.replace("every: 4}", "every: 4, scope: conversation, decay: 0.5, window: 9}"), "x.yaml"
    )
    assert not found
    assert policy is not None
    budget = policy.budgets[0]
    assert (budget.scope, budget.decay, budget.window) == ("conversation", 0.5, 9)


@pytest.mark.parametrize("key", ["decay: 0.5", "window: 3"])
def test_only_conversations_forget(key: str) -> None:
    (fault,) = faults(POLITE.replace("every: 4}", f"every: 4, {key}}}"))
    assert fault.startswith(f"P031: `{key.partition(':')[0]}` says how a conversation forgets")
