"""What a policy says of calls is proposed from the first token, not searched for; and no search goes on for minutes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from langchain_core.messages import HumanMessage

from ig_guardrail.assembly import guard
from ig_guardrail.costs.calls.offers import grammar_pattern, narrowed, offered
from ig_guardrail.costs.calls.rules import ToolRules, tool_rules
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.settings import Limits
from ig_guardrail.text.calls import ResponseFormat, Tool, format_call, parse_calls
from ig_guardrail.types import ToolCall
from tests.examples import examples
from tests.faults.test_calls_in_prose import taken
from tests.golden.conversations import compiled, scripted_guardrail
from tests.unit.langchain.test_tools import DELETE, READ, RULES, TOOLS, UNSAID, called, delete_file, pay, read_file


def rules(*arguments: dict[str, Any], **options: Any) -> ToolRules:
    return tool_rules("tools", ("x.tools",), {"arguments": list(arguments), **options})


def tool(schema: Any, required: bool = True, **more: Any) -> Tool:
    parameters = {"type": "object", "properties": {"x": schema, "y": {"type": "boolean"}}, **more}
    return Tool("do", "", {**parameters, "required": ["x"]} if required else parameters)


def takes(one: Tool, arguments: dict[str, Any]) -> bool:
    text = format_call(one.name, arguments)
    return taken(ResponseFormat((one,), "any", parallel=False), text) == f"{text}$"


AB = {"type": "string", "enum": ["a@x.example", "b@x.example"]}
MAIL = {"argument": "x", "matches": r"[a-z.]+@x\.example"}
FEW = {"argument": "x", "least": 1, "most": 100}
ONE_OF = {"argument": "x", "one_of": ["read", "list", "é"]}
LINKED = {"$ref": "#/$defs/N"}


@pytest.mark.parametrize(
    ("schema", "rule", "good", "bad"),
    [
        ({"type": "string"}, MAIL, ["ann@x.example"], ["ann@y.example", "@x.example", "ann@x.example "]),
        (AB, {"argument": "x", "matches": r"a@x\.example"}, ["a@x.example"], ["b@x.example"]),
        ({"type": "string"}, ONE_OF, ["read", "list", "é"], ["write", "readlist", ""]),
        ({"type": "string", "maxLength": 1}, ONE_OF, ["é"], ["read"]),
        ({"type": "integer"}, FEW, [1, 7, 100], [0, -1, 101, 500]),
        ({"type": "integer", "minimum": 50}, FEW, [50, 100], [1, 49, 101]),
        ({"type": "number"}, {"argument": "x", "most": 2.5}, [2.5, -3, 0.25], [2.75, 3]),
        ({}, FEW, [1, 99.5], ["1", None, 101]),
        ({}, MAIL, ["ann@x.example"], [3, None, "ann"]),
        ({"type": ["string", "null"]}, MAIL, ["ann@x.example"], [None, "ann"]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, MAIL, ["ann@x.example"], [None, "ann"]),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, FEW, [5], ["5", 0]),
        (LINKED, FEW, [5], [0, 101]),
        ({"const": 7}, FEW, [7], [8]),
    ],
)
def test_argument_rules_are_part_of_the_grammar(schema: Any, rule: Any, good: list[Any], bad: list[Any]) -> None:
    one = narrowed(tool(schema, **{"$defs": {"N": {"type": "integer"}}}), rules(rule))
    assert one is not None
    assert [value for value in good if not takes(one, {"x": value})] == []
    assert [value for value in bad if takes(one, {"x": value})] == []
    assert takes(one, {"x": good[0], "y": True})
    assert one.parameters == tool(schema, **{"$defs": {"N": {"type": "integer"}}}).parameters, "as it is told"


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        ({"type": "integer"}, MAIL),
        ({"type": "string"}, FEW),
        ({"type": "boolean"}, ONE_OF),
        ({"type": "integer", "maximum": 0}, FEW),
        ({"type": "integer"}, {"argument": "x", "least": 1.2, "most": 1.8}),
        ({"enum": ["write"]}, ONE_OF),
        ({"type": "string", "maxLength": 3}, MAIL),
        ({"type": "integer", "exclusiveMinimum": 100}, FEW),
        ({"type": "integer", "multipleOf": 101}, {"argument": "x", "least": 1, "most": 100}),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, MAIL),
    ],
)
def test_where_no_value_keeps_the_rules_the_argument_or_the_tool_is_left_out(schema: Any, rule: Any) -> None:
    assert narrowed(tool(schema), rules(rule)) is None
    one = narrowed(tool(schema, required=False), rules(rule))
    assert one is not None
    assert takes(one, {"y": True})
    assert not any(takes(one, {"x": value}) for value in ("write", "a@x.example", 1, 0, True, None, []))


@pytest.mark.slow
def test_arguments_of_an_open_object_are_limited_where_they_are_given() -> None:
    one = narrowed(Tool("do", "", {"type": "object"}), rules(FEW))
    assert one is not None
    assert [value for value in (0, 1, 500) if takes(one, {"x": value})] == [1]
    assert takes(one, {"other": "anything"})
    shut = narrowed(Tool("do", "", {"type": "object", "properties": {"y": {}}}), rules(FEW))
    assert shut is not None
    assert not takes(shut, {"x": 1})


numbers = st.integers(-20, 20) | st.sampled_from([0.5, -2.25, 12.5])
values = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(["", "a", "ab", "abc", "b@x", "read", "é", "1"]))
schemas = st.one_of(
    st.sampled_from(
        [
            {},
            {"type": "string"},
            {"type": "integer"},
            {"type": "number"},
            {"type": ["string", "null"]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            {"type": "string", "minLength": 2},
            {"type": "boolean"},
        ]
    ),
    st.builds(lambda low: {"type": "integer", "minimum": low}, st.integers(-9, 9)),
    st.builds(lambda kept: {"enum": kept}, st.lists(values, min_size=1, max_size=3, unique_by=json.dumps)),
)
limits = st.one_of(
    st.builds(lambda one: {"matches": one}, st.sampled_from(["[a-b]+", "a.?", r"\w+", "(?i)AB|read", "é|[0-9]"])),
    st.builds(lambda low: {"least": low}, numbers),
    st.builds(lambda high: {"most": high}, numbers),
    st.builds(lambda texts: {"one_of": texts}, st.lists(st.sampled_from(["a", "ab", "read", "é"]), min_size=1)),
)


@settings(max_examples=examples(150), deadline=None)
@given(schemas, st.lists(limits, min_size=1, max_size=2), values)
def test_the_grammar_has_what_both_schema_and_rules_allow(schema: Any, asked: list[Any], value: Any) -> None:
    held = rules(*({"argument": "x", **one} for one in asked))
    one = narrowed(tool(schema), held)
    keeps = not any(rule.breaks(ToolCall("do", {"x": value})) for rule in held.arguments)
    valid = not any(Draft202012Validator(schema).iter_errors(value))
    said = one is not None and takes(one, {"x": value})
    if keeps and valid:
        assert said, "nothing that may be said is left out"
    elif len(asked) == 1 or not all("matches" in each for each in asked):
        assert not said, "nothing is proposed that may not be said"


EXPRESSIONS = [
    (r"docs/[a-z]+\.md", ["docs/readme.md"], ["docs/a.txt", "docs/.md"]),
    (r"^\d{3}-\d{4}$", ["123-4567"], ["12-4567", "١٢٣-4567"]),
    (r"\A[[:alpha:]_]+\z", ["a_b"], ["a1"]),
    (r"(?i)yes|no", ["YES", "No"], ["maybe"]),
    (r"(?P<year>19|20)\d\d", ["1999"], ["2199"]),
    (r"\Qa.b\E+", ["a.b", "a.bb"], ["axb"]),
    (r"[\w.]+@[^@\s]+", ["a.b@c"], ["a@b c", "a@@b"]),
    (r"[[]a[&&]b]", ["[a&b]"], ["[ab]"]),
    (r"[]x]+", ["]x"], ["["]),
    (r"a\/b\@c\-d", ["a/b@c-d"], ["a/b@c"]),
    (r"\x41\x{42}\pL*", ["ABé"], ["AB1"]),
    (r"(?s:.)*", ["a\nb"], []),
    (r".*", ["a b"], ["a\nb"]),
    (r"a{2,3}?b+?", ["aab", "aaabb"], ["ab"]),
    (r"\$5\.00", ["$5.00"], ["5.00"]),
    (r"a\\$", ["a\\"], ["a"]),
    (r"[^\n]+", ["é"], ["a\nb"]),
    (r"say \"hi\"", ['say "hi"'], ["say hi"]),
]


@pytest.mark.parametrize(("expression", "good", "bad"), EXPRESSIONS)
def test_expressions_mean_the_same_in_a_grammar(expression: str, good: list[str], bad: list[str]) -> None:
    pattern = grammar_pattern(expression)
    assert pattern is not None
    one = Tool("do", "", {"type": "object", "properties": {"x": {"type": "string", "pattern": pattern}}})
    for text in (*good, *bad):
        matches = re2.compile(expression).fullmatch(text) is not None
        assert (matches, takes(one, {"x": text})) == (text in good, text in good)


@pytest.mark.parametrize("expression", [r"x\b", r"a|^b", r"(?m)^a$", r"\Bx", r"[\D]", r"\Cx"])
def test_expressions_that_no_grammar_says_are_left_to_the_gate(expression: str) -> None:
    re2.compile(expression)
    assert grammar_pattern(expression) is None
    one = narrowed(tool({"type": "string"}), rules({"argument": "x", "matches": expression}))
    assert one is not None
    assert takes(one, {"x": "anything"})


# ---------------------------------------------------------------------------------------------------- through the model


def chat(text: str, policy: str = RULES, **options: Any) -> ChatIGGuardrail:
    rail = scripted_guardrail({(0, 0): list(text)}, compiled(policy))
    return ChatIGGuardrail(guardrail=rail, **{"seed": 7, **options})


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_a_call_within_the_rules_is_drawn_at_once(temperature: float) -> None:
    text = format_call("pay", {"amount": 500})
    answer = chat(text, temperature=temperature).bind_tools(TOOLS, tool_choice="pay").invoke("Pay.")
    ((name, arguments),) = called(answer)
    assert (name, arguments["amount"] <= 100) == ("pay", True)
    receipt = answer.response_metadata["ig_guardrail"]
    assert receipt["tokens"]["discarded"] == 0
    assert {block["attempts"] for block in receipt["blocks"]} == {1}


@pytest.mark.slow
def test_a_tool_that_may_not_be_called_is_not_offered_where_one_must_be() -> None:
    for seed in range(5):
        answer = chat(DELETE, seed=seed).bind_tools(TOOLS, tool_choice="any", parallel_tool_calls=False).invoke("Go.")
        assert {name for name, _ in called(answer)} <= {"read_file", "pay"}
        assert answer.response_metadata["ig_guardrail"]["tokens"]["discarded"] < 50


@pytest.mark.parametrize("choice", ["any", "delete_file"])
async def test_where_none_is_left_the_answer_is_refused_at_once(choice: str) -> None:
    bound = chat(DELETE).bind_tools([delete_file], tool_choice=choice)
    for answer in (bound.invoke("Go."), await bound.ainvoke("Go.")):
        receipt = answer.response_metadata["ig_guardrail"]
        assert answer.text == "I would rather not say that."
        assert receipt["verdict"]["reason"] == "the policy allows no tool that may be called here"
        assert receipt["tokens"]["generated"] == 0
    plain = chat("Never.").bind_tools([delete_file]).invoke("Go.")
    assert (plain.text, plain.tool_calls) == ("Never.", [])
    unguarded = chat(DELETE, strategy="none").bind_tools([delete_file], tool_choice=choice).invoke("Go.")
    assert called(unguarded) == [("delete_file", {"name": "a"})]


def test_a_model_is_told_of_the_tools_it_may_call_as_they_were_bound() -> None:
    form = offered(
        ResponseFormat(
            (Tool("pay", "", {"type": "object", "properties": {"amount": {}}}), Tool("delete_file", "", {}))
        ),
        rules({"tool": "pay", "argument": "amount", "most": 5}, deny=["delete_*"]),
    )
    assert "delete_file" not in form.instructions()
    assert '"parameters": {"type": "object", "properties": {"amount": {}}}' in form.instructions()
    model = chat("Yes.")
    answer = model.bind_tools(TOOLS).invoke("Hi")
    assert answer.usage_metadata["input_tokens"] == model.get_num_tokens_from_messages([HumanMessage("Hi")], TOOLS)


@pytest.mark.slow
def test_a_call_of_a_tool_that_is_denied_gives_way_to_words_and_not_to_another_tool() -> None:
    told = {(0, 0): DELETE, (1, 0): "Never."}
    model = ChatIGGuardrail(guardrail=scripted_guardrail(told, compiled(RULES)), seed=7)
    answer = model.bind_tools([read_file, delete_file, pay]).invoke("Clean up.")
    assert (answer.text, called(answer)) == ("Never.", [])


# ------------------------------------------------------------------------------------------------------- its time limit


def hopeless(policy: str, limits: Limits | None) -> dict[str, Any]:
    rail = guard(ScriptedEngine(Continuations({(0, 0): DELETE})), compiled(policy), limits=limits)
    model = ChatIGGuardrail(guardrail=rail, seed=7, temperature=0)
    answer = model.bind_tools(TOOLS, tool_choice="delete_file").invoke("Clean up.")
    assert answer.text == "I would rather not say that."
    receipt: dict[str, Any] = answer.response_metadata["ig_guardrail"]
    return receipt


@pytest.mark.parametrize("more", ["", "restart: Be kind., "])
def test_a_search_ends_at_its_time_limit_and_says_so(more: str) -> None:
    receipt = hopeless(UNSAID.replace("search: {", f"search: {{{more}"), Limits(searching=0))
    assert receipt["verdict"]["outcome"] == "refused"
    assert receipt["verdict"]["reason"] == "no safe continuation was found in 0 s of searching"
    assert receipt["tokens"]["generated"] < hopeless(UNSAID, None)["tokens"]["generated"]
    assert receipt["fallbacks"] == ["refusal"]


def test_there_is_a_limit_by_default_and_it_is_no_limit_on_answers() -> None:
    assert 0 < Limits().searching <= 60
    rail = guard(ScriptedEngine(Continuations({(0, 0): READ})), compiled(RULES), limits=Limits(searching=0))
    answer = ChatIGGuardrail(guardrail=rail, seed=7).bind_tools(TOOLS).invoke("Read it.")
    assert [call.name for call in parse_calls(READ)[1]] == [name for name, _ in called(answer)]


@pytest.mark.parametrize("high", [0.0, 1e-11, 3e-10])
def test_limits_that_lie_close_together_can_be_enforced(high: float) -> None:
    one = narrowed(tool({}), rules({"argument": "x", "least": 0.0}, {"argument": "x", "most": high}))
    assert one is not None
    assert takes(one, {"x": 0})
    assert not takes(one, {"x": 1})
