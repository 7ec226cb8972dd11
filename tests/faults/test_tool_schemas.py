"""Arguments of tools as they are taken: by their aliases, with their references, and refused where they are bound."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from langchain_core.tools import InjectedToolArg, StructuredTool
from pydantic import AliasChoices, BaseModel, Field

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.response_format import form_of, tool_of
from ig_guardrail.text.calls import ResponseFormat
from tests.faults.schema_answers import takes
from tests.golden.conversations import CALM, compiled, scripted_guardrail


class Person(BaseModel):
    """A person."""

    name: str
    kids: list[Person] = []


class Named(BaseModel):
    """Something with other names."""

    origin: str = Field(alias="from")
    count: int = Field(1, validation_alias=AliasChoices("num", "n"))
    hidden: Annotated[str, InjectedToolArg] = "kept"


def greet(person: Person, times: int = 1) -> str:
    """Greet somebody."""
    return person.name * times


FAMILY = {"name": "A", "kids": [{"name": "B", "kids": [{"name": "C"}]}]}
STRANGERS: list[Any] = [{"name": "A", "kids": [{"nom": "B"}]}, {"name": "A", "kids": [3]}]


@pytest.mark.parametrize("given", [greet, StructuredTool.from_function(greet)])
def test_arguments_that_lead_back_to_themselves_stay_so(given: Any) -> None:
    parameters = tool_of(given).parameters
    assert takes(parameters, {"person": FAMILY})
    assert not any(takes(parameters, {"person": stranger}) for stranger in STRANGERS)


def test_a_class_that_leads_back_to_itself_is_a_tool() -> None:
    parameters = tool_of(Person).parameters
    assert takes(parameters, FAMILY)
    assert not any(takes(parameters, stranger) for stranger in STRANGERS)


def test_a_tool_is_offered_under_the_names_that_it_takes() -> None:
    tool = StructuredTool.from_function(
        lambda **given: json.dumps(given), name="t", description="T.", args_schema=Named
    )
    assert list(tool_of(tool).parameters["properties"]) == ["from", "num"]
    assert json.loads(tool.invoke({"from": "x", "num": 2})) == {"origin": "x", "count": 2, "hidden": "kept"}


def test_a_root_may_be_an_object_or_nothing() -> None:
    schema = {"type": ["object", "null"]}
    assert form_of(None, None, None, schema) == ResponseFormat(schema=schema)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
@pytest.mark.parametrize(
    "part", [{"$ref": "http://127.0.0.1:9/x"}, {"type": "strin"}, {"pattern": "^(?=a)"}, {"$ref": "#/properties/a"}]
)
def test_what_cannot_be_followed_is_refused_where_it_is_bound(method: Any, part: Any) -> None:
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, compiled()))
    schema = {"title": "T", "description": "T.", "type": "object", "properties": {"a": part}}
    with pytest.raises(RequestError, match="#/properties/a"):
        model.with_structured_output(schema, method=method)
    with pytest.raises(RequestError, match="#/properties/a"):
        model.bind_tools([schema])
