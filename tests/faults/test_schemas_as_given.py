"""Tools and schemas in the dicts that other interfaces have: read as they are meant, or refused, and never left out."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Optional

import pytest
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool, tool
from langgraph.prebuilt import InjectedState, ToolRuntime
from pydantic import BaseModel, ConfigDict, Field

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.response_format import form_of, schema_of, tool_of
from ig_guardrail.schemas import followable

WHOLE: dict[str, Any] = {"type": "integer"}
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": WHOLE}, "required": ["a"]}
NAMED: dict[str, Any] = {"name": "look", "description": "Look."}


@pytest.mark.parametrize(
    "given",
    [
        {"type": "function", "function": {**NAMED, "parameters": SCHEMA}},
        {"type": "function", **NAMED, "parameters": SCHEMA, "strict": True},
        {**NAMED, "parameters": SCHEMA},
        {**NAMED, "input_schema": SCHEMA},
        {**NAMED, "title": "Look", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
        {**NAMED, "schema": SCHEMA, "strict": True},
        {"type": "function", "function": {**NAMED, "input_schema": SCHEMA}},
        {"toolSpec": {**NAMED, "inputSchema": {"json": SCHEMA}}},
    ],
)
def test_a_tool_has_its_arguments_whichever_interface_it_is_written_for(given: Any) -> None:
    assert (tool_of(given).name, tool_of(given).parameters) == ("look", SCHEMA)


@pytest.mark.parametrize("part", ["args", "arguments", "params", "properties_", "json_schema"])
def test_arguments_under_a_name_that_is_not_known_are_refused(part: str) -> None:
    with pytest.raises(RequestError, match=f"a tool has `{part}`, and no `parameters`"):
        tool_of({**NAMED, part: SCHEMA})


@pytest.mark.parametrize(
    "given",
    [
        {"type": "custom", "name": "code"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    ],
)
def test_a_tool_that_another_server_runs_is_refused_also_by_its_name(given: Any) -> None:
    with pytest.raises(RequestError, match="and no function"):
        tool_of(given)


class Looking(BaseTool):
    """A tool that somebody wrote."""

    name: str = "look"
    description: str = "Look."

    def _run(self, a: int) -> int:
        return a


class Caller:
    """An object that can be called, and has no name."""

    def __call__(self, a: int) -> int:
        return a


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Looking, r"a tool is the class 'Looking'.*fix: give Looking\(\)"),
        (functools.partial(len), "a tool cannot be read"),
        (min, "a tool cannot be read: no signature found"),
        (Caller(), "a tool cannot be read"),
    ],
)
def test_what_is_no_tool_is_told_in_words(given: Any, told: str) -> None:
    with pytest.raises(RequestError, match=f"(?s){told}"):
        form_of([given], None, None, None)


def listed(args: list[str], cwd: str = ".") -> str:
    """Run."""
    return cwd.join(args)


def lined(_id: int) -> int:
    """Look."""
    return _id


def placed(a: int, /, b: int) -> int:
    """Look."""
    return a + b


def usual(a: int, _hint: str = "", *args: int, **kwargs: int) -> int:
    """Look."""
    return a


@pytest.mark.parametrize(("given", "argument"), [(listed, "args"), (lined, "_id"), (placed, "a")])
def test_a_tool_that_no_call_could_run_is_refused(given: Any, argument: str) -> None:
    for one in (given, tool(given)):
        with pytest.raises(RequestError, match=f"has an argument '{argument}'"):
            tool_of(one)


@pytest.mark.parametrize("given", [usual, tool(usual), print])
def test_arguments_that_need_not_be_given_are_no_fault(given: Any) -> None:
    assert tool_of(given)


# ------------------------------------------------------------------------------------------ what the agent gives


class State:
    """What an agent knows; no JSON."""


class Asked(BaseModel):
    """What a tool takes, of the model and of the agent."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    a: Annotated[int, Field(gt=3, description="A count.")] = 4
    b: str = Field(alias="B", min_length=2)
    c: Optional[list[int]] = Field(None, max_length=2)  # noqa: UP045
    state: Annotated[State, InjectedToolArg]
    runtime: ToolRuntime
    called: Annotated[str, InjectedToolCallId]


class Told(BaseModel):
    """The same without what the agent gives."""

    model_config = ConfigDict(extra="forbid")
    a: Annotated[int, Field(gt=3, description="A count.")] = 4
    b: str = Field(alias="B", min_length=2)
    c: Optional[list[int]] = Field(None, max_length=2)  # noqa: UP045


@tool
def plain(a: int, runtime: ToolRuntime) -> int:
    """Look."""
    return a


@tool
def typed(a: int, runtime: ToolRuntime[dict[str, int], dict[str, int]], state: Annotated[Any, InjectedState]) -> int:
    """Look."""
    return a


@pytest.mark.parametrize("given", [plain, typed])
def test_a_tool_that_takes_its_runtime_is_offered_without_it(given: Any) -> None:
    parameters = tool_of(given).parameters
    assert list(parameters["properties"]) == parameters["required"] == ["a"]


def test_what_the_agent_gives_need_not_be_json() -> None:
    asked = StructuredTool.from_function(lambda **given: "", name="t", description="T.", args_schema=Asked)
    told = StructuredTool.from_function(lambda **given: "", name="t", description="T.", args_schema=Told)
    assert tool_of(asked).parameters == tool_of(told).parameters


# -------------------------------------------------------------------------------------------------------- schemas


@pytest.mark.parametrize(
    "given",
    [
        SCHEMA,
        {"name": "answer", "schema": SCHEMA, "strict": True},
        {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        {"type": "json_schema", "name": "answer", "schema": SCHEMA},
        {**NAMED, "parameters": SCHEMA},
        {**NAMED, "input_schema": SCHEMA},
        {**NAMED, "inputSchema": SCHEMA},
    ],
)
def test_a_schema_is_found_in_what_interfaces_wrap_around_it(given: Any) -> None:
    assert schema_of(given) == SCHEMA
    if "parameters" not in given:
        assert form_of(None, None, None, {"type": "json_schema", "json_schema": {"schema": schema_of(given)}}).schema


@pytest.mark.parametrize("given", [{"a": WHOLE}, {"a": "integer"}, {"name": "x", "fields": {"a": "int"}}])
def test_an_object_without_a_word_of_json_schema_is_refused(given: Any) -> None:
    with pytest.raises(RequestError, match="it has no word of JSON Schema, but `"):
        form_of(None, None, None, given)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"city": {"type": "string"}}, "it has no word of JSON Schema, but `city`"),
        ({"type": "object", "city": {"type": "string"}}, "`city` is no word of JSON Schema"),
        ({"type": "object", "properties": {"at": {"type": "object", "x": WHOLE}}}, "`x` is no word of JSON Schema"),
    ],
)
def test_properties_that_stand_beside_the_type_are_refused(parameters: Any, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        form_of([{**NAMED, "parameters": parameters}], None, None, None)
    noted = {"type": "object", "properties": {"x": WHOLE}, "xml": {"type": "string"}, "x-a": WHOLE, "default": WHOLE}
    assert form_of([{**NAMED, "parameters": noted}], None, None, None).tools


@pytest.mark.parametrize("given", [{}, {"title": "Anything"}, {"x-note": 1}, {"$comment": "any"}, {"$defs": {}}])
def test_a_schema_that_says_nothing_on_purpose_is_any_value(given: Any) -> None:
    assert followable(given, 64)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("max_length", "maxLength"),
        ("maxlength", "maxLength"),
        ("additional_properties", "additionalProperties"),
        ("any_of", "anyOf"),
        ("multiple-of", "multipleOf"),
        ("Enum", "enum"),
    ],
)
@pytest.mark.parametrize("place", ["#", "#/properties/x", "#/$defs/y", "#/not"])
def test_a_word_in_another_spelling_is_refused(word: str, meant: str, place: str) -> None:
    part = {"type": ["object", "string"], word: 3}
    wrapped = {
        "#": part,
        "#/properties/x": {"type": "object", "properties": {"x": part}},
        "#/$defs/y": {"type": "object", "$defs": {"y": part}},
        "#/not": {"type": "object", "not": part},
    }[place]
    with pytest.raises(RequestError, match=f"`{word}` is no word of JSON Schema, at {place.replace('$', '.')} of"):
        followable(wrapped, 64)


def test_keys_and_values_may_be_spelled_as_they_like() -> None:
    keys = {"type": "object", "properties": {"max_length": WHOLE, "any_of": {"const": {"min_items": 1}}}}
    assert followable({**keys, "default": {"max_length": 3}, "x-max_length": 5}, 64)


@pytest.mark.parametrize("given", [list[int], Optional[Asked], int | None, dict[str, int], Any])  # noqa: UP045
def test_a_type_that_is_no_class_is_refused_as_a_schema(given: Any) -> None:
    with pytest.raises(RequestError, match=r"(?s)the schema is .*a value is an object"):
        schema_of(given)


def test_a_value_of_a_class_is_no_schema() -> None:
    with pytest.raises(RequestError, match=r"(?s)the schema is a value of 'Told'.*give the class"):
        schema_of(Told(B="xy"))
