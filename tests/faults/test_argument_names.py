"""A rule for an argument holds under every name that the tool takes it by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field

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


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (ByEither, {"amount": 500}),
        (ByEither, {"sum": 500}),
        (ByEither, {"sum": "500"}),
        (ByEither, {"amount": 5, "sum": 500, "text": "x"}),
        (ByEither, {"sum": 5, "amount": 500}),
        (ByChoice, {"sum": 500}),
        (ByChoice, {"order": {"total": 500}}),
        (ByAlias, {"sum": 500}),
        (ByName, {"amount": 500}),
    ],
)
def test_a_limit_holds_by_whatever_name_an_argument_is_given(schema: type[BaseModel], arguments: Any) -> None:
    assert ran(schema, arguments) == []


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (ByEither, {"amount": 5}),
        (ByEither, {"sum": 5, "text": "500"}),
        (ByChoice, {"sum": 5}),
        (ByChoice, {"order": {"total": 5}}),
        (ByAlias, {"sum": 5}),
        (ByName, {"amount": 5, "sum": 500}),
    ],
)
def test_what_keeps_it_is_run(schema: type[BaseModel], arguments: Any) -> None:
    assert ran(schema, arguments) == [5]
