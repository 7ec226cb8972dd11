"""A rule for an argument holds under every name that the tool takes it by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field

from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from tests.golden.conversations import POLITE, compiled
from tests.unit.langchain.teller import call_part, last_part, teller

RULES = POLITE + "tools: {arguments: [{tool: pay, argument: amount, least: 0, most: 100}]}\n"


class ByEither(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    amount: int = Field(alias="sum")
    note: str = Field("", alias="text")


class ByChoice(BaseModel):
    amount: int = Field(validation_alias=AliasChoices("amount", "sum", AliasPath("order", "total")))


class ByAlias(BaseModel):
    amount: int = Field(alias="sum")


class ByName(BaseModel):
    amount: int
    sum: int = 0


def ran(schema: type[BaseModel], arguments: Any) -> list[Any]:
    """What a tool was run with, when a hosted model called it like that."""
    done: list[Any] = []
    tool = StructuredTool.from_function(
        lambda **given: str(done.append(given)), name="pay", description="Pay.", args_schema=schema
    )
    inner = teller([call_part("pay", json.dumps(arguments), "1"), last_part("tool_calls")], "Done.")
    agent = create_agent(inner, [tool], middleware=[GuardrailMiddleware(compiled(RULES))])
    agent.invoke({"messages": [("user", "Pay.")]})
    return [given["amount"] for given in done]


def called(schema: type[BaseModel], arguments: Any, as_class: bool = False) -> list[Any]:
    """What a guarded model lets be called of a bound tool, without an agent around it."""
    tool = StructuredTool.from_function(lambda **given: "", name="pay", description="Pay.", args_schema=schema)
    name = schema.__name__ if as_class else "pay"
    inner = teller([call_part(name, json.dumps(arguments), "1"), last_part("tool_calls")])
    model = GuardedChatModel(inner=inner, policy=compiled(RULES.replace("pay", name)))
    return [call["args"] for call in model.bind_tools([schema if as_class else tool]).invoke("Pay.").tool_calls]


BREAKING = [
    (ByEither, {"amount": 500}),
    (ByEither, {"sum": 500}),
    (ByEither, {"sum": "500"}),
    (ByEither, {"amount": 5, "sum": 500, "text": "x"}),
    (ByEither, {"sum": 5, "amount": 500}),
    (ByChoice, {"sum": 500}),
    (ByChoice, {"order": {"total": 500}}),
    (ByAlias, {"sum": 500}),
    (ByName, {"amount": 500}),
]
KEEPING = [
    (ByEither, {"amount": 5}),
    (ByEither, {"sum": 5, "text": "500"}),
    (ByChoice, {"sum": 5}),
    (ByChoice, {"order": {"total": 5}}),
    (ByAlias, {"sum": 5}),
    (ByName, {"amount": 5, "sum": 500}),
]


@pytest.mark.parametrize(("schema", "arguments"), BREAKING)
def test_a_limit_holds_by_whatever_name_an_argument_is_given(schema: type[BaseModel], arguments: Any) -> None:
    assert ran(schema, arguments) == []


@pytest.mark.parametrize(("schema", "arguments"), KEEPING)
def test_what_keeps_it_is_run(schema: type[BaseModel], arguments: Any) -> None:
    assert ran(schema, arguments) == [5]


@pytest.mark.parametrize("as_class", [False, True])
@pytest.mark.parametrize(("schema", "arguments"), BREAKING)
def test_a_guarded_model_alone_knows_the_names_of_its_bound_tools(schema: Any, arguments: Any, as_class: bool) -> None:
    assert called(schema, arguments, as_class) == []


@pytest.mark.parametrize("as_class", [False, True])
@pytest.mark.parametrize(("schema", "arguments"), KEEPING)
def test_a_guarded_model_alone_lets_be_called_what_keeps_it(schema: Any, arguments: Any, as_class: bool) -> None:
    assert called(schema, arguments, as_class) == [arguments]
