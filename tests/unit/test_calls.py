"""Tool calls as text: written and read back, and nothing that is no whole call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.script import Vocabulary
from ig_guardrail.text.calls import (
    CLOSE,
    OPEN,
    ResponseFormat,
    Tool,
    closed,
    format_call,
    parse_calls,
    shown_length,
)
from ig_guardrail.types import ToolCall

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
calls = st.lists(st.tuples(st.text(), st.dictionaries(st.text(), json_values)), max_size=3)


before_calls = st.one_of(st.just(""), st.text().map("{}\n".format), st.text().map("{}. ".format))


@pytest.mark.slow
@given(before_calls.filter(lambda text: OPEN not in text), calls)
def test_what_is_written_is_read_back(words: str, made: list[tuple[str, dict[str, Any]]]) -> None:
    text = words + "".join(format_call(name, arguments) for name, arguments in made)
    assert parse_calls(text) == (words, tuple(ToolCall(name, arguments) for name, arguments in made))


@pytest.mark.parametrize(
    "rest",
    ['{"name": "f", "arguments": {"x": 10', '{"name": "f", "arguments": {"x": 10}}', "{}" + CLOSE, "[1]" + CLOSE],
)
def test_what_is_no_whole_call_is_left_out(rest: str) -> None:
    assert parse_calls(f"Well. {format_call('g', {})}{OPEN}{rest}") == ("Well. ", (ToolCall("g", {}),))


def test_nothing_is_asked_where_there_are_no_tools_and_no_schema() -> None:
    assert (ResponseFormat().grammar(64), ResponseFormat().instructions()) == (None, "")


def test_where_no_tool_may_be_called_nobody_is_told_of_it_and_no_call_can_begin() -> None:
    form = ResponseFormat((Tool("look", "", {"type": "object"}),), "none")
    assert (form.callable, form.instructions()) == ((), "")
    vocabulary = Vocabulary(["I", OPEN])
    grammar = Grammars(vocabulary.language, vocabulary.ids).compiled(form.grammar(9) or "")
    allowed = grammar.after(vocabulary.ids("I <tool_call")).allowed()
    assert allowed[vocabulary.ids("!")[0]]
    assert not allowed[vocabulary.ids(">")[0]]
    assert not allowed[vocabulary.ids(OPEN)[0]]


def test_objects_are_closed_unless_they_say_otherwise() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "integer", "default": {"properties": {}}}}}
    free = {"type": "object", "properties": {}, "additionalProperties": True}
    made = closed({"type": "object", "properties": {"a": inner, "b": free, "c": {"type": "object"}}})
    assert made["additionalProperties"] is False
    assert made["properties"]["a"]["additionalProperties"] is False
    assert made["properties"]["a"]["properties"]["x"]["default"] == {"properties": {}}
    assert made["properties"]["b"]["additionalProperties"] is True
    assert made["properties"]["c"] == {"type": "object"}


def test_a_model_is_told_of_each_tool_on_a_line_of_its_own() -> None:
    tools = (Tool("look", "Look it up.", {"type": "object"}), Tool("pay", "", {"type": "object"}))
    told = ResponseFormat(tools).instructions()
    assert [line for line in told.splitlines() if line.startswith('{"name": "')][1] == (
        '{"name": "pay", "description": "", "parameters": {"type": "object"}}'
    )
    assert "Call one of them now" in ResponseFormat(tools, "any").instructions()


def test_texts_without_a_limit_get_one_that_leaves_room() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "array", "items": {"type": "string", "minLength": 90}},
            "c": {"type": "string", "maxLength": 5000},
            "d": {"type": "string", "enum": ["type"], "default": {"type": "string"}},
        },
    }
    text = ResponseFormat(schema=schema).grammar(100)
    assert text is not None
    made = json.loads(text.removeprefix("start: %json "))["properties"]
    assert (made["a"]["maxLength"], made["b"]["items"]["maxLength"], made["c"]["maxLength"]) == (100, 100, 5000)
    assert "maxLength" not in made["d"]
    assert schema["properties"]["a"] == {"type": "string"}


def test_values_that_speak_of_calls_and_endless_nesting_are_no_calls() -> None:
    assert parse_calls(OPEN + ' tag"}') == (OPEN + ' tag"}', ())
    assert parse_calls(OPEN + '{tag"}') == ("", ())
    deep = OPEN + '{"name": "f", "arguments": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}" + CLOSE
    assert parse_calls(deep) == ("", ())
    behind = format_call("g", {})
    assert parse_calls(behind + deep) == ("", (ToolCall("g", {}),))
    assert shown_length(behind + deep, ended=True) == len(behind)


def test_what_joins_or_chooses_between_schemas_is_left_open() -> None:
    a, b = ({"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]} for name in "ab")
    assert closed({"allOf": [a, b]}) == {"allOf": [a, b]}
    beside = closed({**a, "anyOf": [b, {"type": "object"}]})
    assert "additionalProperties" not in beside
    assert "additionalProperties" not in beside["anyOf"][0]
    assert closed({"anyOf": [a, b]})["anyOf"][0]["additionalProperties"] is False


def test_properties_may_have_any_name() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "string"}}}
    names = ("default", "enum", "const", "examples", "properties", "type", "items")
    made = closed({"type": "object", "properties": dict.fromkeys(names, inner)})["properties"]
    assert all(made[name]["additionalProperties"] is False for name in names)
    assert set(made) == set(names)
