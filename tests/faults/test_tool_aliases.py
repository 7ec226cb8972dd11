"""A tool is offered under the argument names that it takes."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.tools import InjectedToolArg, StructuredTool
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field

from ig_guardrail import ChatIGGuardrail
from ig_guardrail.integrations.langchain.response_format import tool_of
from ig_guardrail.text.calls import format_call
from tests.unit.langchain.obliging import obliging_guardrail


class Plain(BaseModel):
    name: str
    inner: list[str] = []


class Aliased(BaseModel):
    from_: str = Field(alias="from")
    count: int = Field(1, validation_alias="n")
    kind: str = Field("a", validation_alias=AliasChoices("sort", "kind"))
    deep: str = Field("a", validation_alias=AliasPath("deep", 0))
    given: Annotated[str, InjectedToolArg] = Field("a", alias="by_the_agent")
    part: Plain | None = Field(None, validation_alias="piece")


class Needed(BaseModel):
    count: str = Field(validation_alias="n")


class ByEither(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    from_: str = Field(alias="from")


def tool(schema: type[BaseModel]) -> StructuredTool:
    return StructuredTool.from_function(
        lambda **given: str(given), name="look", description="Look.", args_schema=schema
    )


@pytest.mark.parametrize(
    ("schema", "names", "required", "given"),
    [
        (Plain, {"name", "inner"}, ["name"], {"name": "x"}),
        (Aliased, {"from", "n", "sort", "deep", "piece"}, ["from"], {"from": "x", "n": 3, "piece": {"name": "y"}}),
        (Needed, {"n"}, ["n"], {"n": "x"}),
        (ByEither, {"from_"}, ["from_"], {"from_": "x"}),
    ],
)
def test_a_tool_takes_what_it_is_offered_with(
    schema: type[BaseModel], names: set[str], required: list[str], given: dict[str, Any]
) -> None:
    parameters = tool_of(tool(schema)).parameters
    assert set(parameters["properties"]) == names
    assert parameters["required"] == required
    bound = ChatIGGuardrail(guardrail=obliging_guardrail()).bind_tools([tool(schema)])
    assert bound.kwargs["tools"][0]["function"]["parameters"] == parameters  # type: ignore[attr-defined]
    model = ChatIGGuardrail(guardrail=obliging_guardrail({"Go.": format_call("look", given)}), max_tokens=400)
    messages = create_agent(model, [tool(schema)]).invoke({"messages": [("user", "Go.")]})["messages"]
    assert messages[1].tool_calls[0]["args"] == given
    assert messages[2].status == "success"
    assert "'x'" in messages[2].text
