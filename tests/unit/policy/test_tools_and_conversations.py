"""The `tools` section and budgets of conversations: what they compile to, and what is refused."""

from __future__ import annotations

import pytest

from ig_guardrail.policy import compile_text
from tests.golden.conversations import POLITE as SHOWN

POLITE = SHOWN.replace("allow_unguarded: true\n", "")


def faults(text: str) -> list[str]:
    return [f"{fault.code}: {fault.message}" for fault in compile_text(text, "x.yaml")[1]]


def test_tool_rules_become_a_cost_model_and_a_ban() -> None:
    rules = 'tools: {allow: [pay], deny: ["x*"], arguments: [{argument: amount, least: 0, most: 5}]}\n'
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


@pytest.mark.parametrize("name", ["größe", "城市", "цена"])
def test_an_argument_is_limited_by_the_name_that_it_has_in_any_script(name: str) -> None:
    policy, found = compile_text(
        POLITE + f"tools: {{arguments: [{{argument: {name}, least: 0, most: 5}}]}}\n", "x.yaml"
    )
    assert (policy is not None, found) == (True, ())
    assert policy is not None
    assert policy.cost_models[-1].options["arguments"][0]["argument"] == name


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
        POLITE.replace("0.0, every: 4}", "0.2, every: 4, scope: conversation, decay: 0.5, window: 9}"), "x.yaml"
    )
    assert not found
    assert policy is not None
    budget = policy.budgets[0]
    assert (budget.scope, budget.decay, budget.window) == ("conversation", 0.5, 9)


def test_a_budget_for_a_tool_is_charged_where_its_calls_end() -> None:
    text = POLITE.replace("every: 4}", 'every: 4, scope: tool, tool: "pay*"}')
    policy, found = compile_text(text, "x.yaml")
    assert not found
    assert policy is not None
    budget, (rude, count, judged) = policy.budgets[0], policy.cost_models
    assert (count.kind, count.options) == ("calls", {"tool": "pay*"})
    assert (judged.kind, judged.hazards, judged.options) == ("calls", rude.hazards, {"tool": "pay*", "by": "rude"})
    assert (budget.cost.op, budget.cost.models()) == ("multiply", (count.name, judged.name))
    assert {"x.tools"} < set(budget.hazards)


def test_calls_are_scored_by_cost_models_that_read_text() -> None:
    text = POLITE.replace("every: 4}", "every: 4, scope: tool}").replace(
        "kind: pattern", "kind: latent, head: toxic-tone"
    )
    text = text.replace("patterns: ['(?i)\\bblockhead'], longest_match: 9, ", "")
    assert "P030: a budget for tools cannot use `rude`" in faults(text)


def test_limits_of_calls_become_budgets() -> None:
    limits = 'tools: {limits: [{id: payments, tool: "pay*", calls: 3}, {id: reads, tool: "pay*", calls: 5}]}\n'
    policy, found = compile_text(POLITE + limits, "x.yaml")
    assert [(one.code, one.message) for one in found] == [("P132", "the limit `reads` is never reached")]
    assert policy is not None
    assert [(one.id, one.budget, one.scope) for one in policy.budgets[2:]] == [
        ("payments", 3, "tool"),
        ("reads", 5, "tool"),
    ]
    assert [one.kind for one in policy.cost_models].count("calls") == 1


def test_a_limit_has_a_name_of_its_own() -> None:
    limits = "tools: {limits: [{id: rudeness, tool: pay, calls: 3}]}\n"
    assert faults(POLITE + limits) == ["P026: two budgets are called `rudeness`"]


@pytest.mark.parametrize("key", ["decay: 0.5", "window: 3"])
def test_only_conversations_forget(key: str) -> None:
    (fault,) = faults(POLITE.replace("every: 4}", f"every: 4, {key}}}"))
    assert fault == f"P025: `{key.partition(':')[0]}` says how turns are forgotten, and scope `response` does not ask"
