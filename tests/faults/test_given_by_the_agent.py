"""Arguments that an agent gives to its tools: the model is told nothing of them, whatever their types are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import AgentState, create_agent
from langchain.tools import InjectedState, InjectedStore, ToolRuntime
from langchain_core.tools import InjectedToolCallId, StructuredTool
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel, Field

from ig_guardrail import ChatIGGuardrail, GuardedChatModel
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.response_format import tool_of
from ig_guardrail.text.calls import format_call
from tests.golden.conversations import compiled
from tests.unit.langchain.obliging import obliging_guardrail
from tests.unit.langchain.teller import call_part, last_part, teller


def of_runtime(item: str, runtime: ToolRuntime) -> str:
    return f"{item}, {len(runtime.state['messages'])} messages"


def of_typed_runtime(item: str, runtime: ToolRuntime[None, AgentState[Any]]) -> str:
    return f"{item}, {len(runtime.state['messages'])} messages"


def of_state(item: str, state: Annotated[AgentState[Any], InjectedState]) -> str:
    return f"{item}, {len(state['messages'])} messages"


def of_store(item: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
    return f"{item} in {type(store).__name__}"


def of_call(item: str, id: Annotated[str, InjectedToolCallId]) -> str:
    return f"{item} for {id[:4]}"


class Order(BaseModel):
    item: str = Field(alias="what", max_length=40)
    state: Annotated[AgentState[Any], InjectedState]


def of_class(item: str, state: Any) -> str:
    return f"{item}, {len(state['messages'])} messages"


TOOLS: list[tuple[Callable[..., str], type[BaseModel] | None, str, str]] = [
    (of_runtime, None, "item", "tea, 2 messages"),
    (of_typed_runtime, None, "item", "tea, 2 messages"),
    (of_state, None, "item", "tea, 2 messages"),
    (of_store, None, "item", "tea in InMemoryStore"),
    (of_call, None, "item", "tea for call"),
    (of_class, Order, "what", "tea, 2 messages"),
]


def tool(run: Callable[..., str], schema: type[BaseModel] | None = None) -> StructuredTool:
    return StructuredTool.from_function(run, name="find", description="Find.", args_schema=schema)


@pytest.mark.parametrize(("run", "schema", "key", "found"), TOOLS)
def test_they_are_no_part_of_what_the_model_is_told(
    run: Callable[..., str], schema: type[BaseModel] | None, key: str, found: str
) -> None:
    parameters = tool_of(tool(run, schema)).parameters
    assert set(parameters) == {"type", "properties", "required"}  # no definitions of what is not asked for
    assert set(parameters["properties"]) == {key}
    assert parameters["required"] == [key]
    assert parameters["properties"][key].get("maxLength") == (40 if schema else None)


@pytest.mark.parametrize(("run", "schema", "key", "found"), TOOLS)
def test_an_agent_gives_them(run: Callable[..., str], schema: type[BaseModel] | None, key: str, found: str) -> None:
    call = {key: "tea"}
    local = ChatIGGuardrail(guardrail=obliging_guardrail({"Go.": format_call("find", call)}))
    hosted = GuardedChatModel(
        inner=teller([call_part("find", f'{{"{key}": "tea"}}', "call-1"), last_part("tool_calls")], "Found."),
        policy=compiled(),
    )
    for model in (local, hosted):
        agent = create_agent(model, [tool(run, schema)], store=InMemoryStore())
        messages = agent.invoke({"messages": [("user", "Go.")]})["messages"]
        assert [message.text for message in messages if message.type == "tool"] == [found]


def test_an_argument_that_is_no_json_is_refused_in_words() -> None:
    def apply(change: Callable[[int], int]) -> str:
        return str(change(1))

    with pytest.raises(RequestError, match=r"a tool cannot be read.*'find'"):
        ChatIGGuardrail(guardrail=obliging_guardrail()).bind_tools([tool(apply)])
