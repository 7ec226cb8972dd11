"""Agents over the chat model: what each way of streaming shows was let through, and a refusal is seen in each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import create_react_agent
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware
from ig_guardrail.integrations.langchain.store_ledger import StoreLedger
from ig_guardrail.text.calls import GIVE_IT, GO_ON, OPEN, format_call
from tests.golden.conversations import CALM, POLITE, RUDE, compiled
from tests.unit.langchain.obliging import Obliging, obliging_guardrail

RULES = POLITE + 'tools: {deny: ["delete_*"]}\n'
REFUSAL, CLOSING = "I would rather not say that.", "I stop here."

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@tool
def read_file(name: str) -> str:
    """Read a file."""
    return f"{name} is empty"


@tool
def delete_file(name: str) -> str:
    """Delete a file."""
    raise AssertionError("nothing may be deleted")


class Joke(BaseModel):
    """A joke."""

    text: str


READ, DELETE = format_call("read_file", {"name": "a"}), format_call("delete_file", {"name": "a"})
SAYS = {"Read it.": f"Of course. {READ}", "a is empty": CALM, "Be rude.": RUDE, "Delete it.": DELETE}


def agent() -> Any:
    model = ChatIGGuardrail(guardrail=obliging_guardrail(SAYS, compiled(RULES)), seed=7)
    return create_agent(model, [read_file, delete_file])


def ask(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


@pytest.mark.slow
def test_an_agent_calls_a_tool_and_answers() -> None:
    _, call, result, answer = agent().invoke(ask("Read it."))["messages"]
    assert [(one["name"], one["args"]) for one in call.tool_calls] == [("read_file", {"name": "a"})]
    assert isinstance(result, ToolMessage)
    assert answer.content == CALM


async def test_the_same_when_awaited() -> None:
    messages = (await agent().ainvoke(ask("Read it.")))["messages"]
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, ToolMessage, AIMessage]


BLUE = {"text": "A blue one."}


@pytest.mark.parametrize(
    ("method", "said"), [("json_schema", json.dumps(BLUE)), ("function_calling", format_call("Joke", BLUE))]
)
def test_what_the_assistant_said_last_is_given_in_a_form(method: Any, said: str) -> None:
    model = ChatIGGuardrail(guardrail=obliging_guardrail({GIVE_IT: said}), seed=7).with_structured_output(
        Joke, method=method
    )
    asked = [HumanMessage("A joke."), AIMessage("A blue one.")]
    assert model.invoke(asked) == Joke(**BLUE)
    with pytest.raises(RequestError, match="ends with a beginning of the answer"):
        model.invoke(asked[1:])


def test_an_agent_goes_on_from_what_another_said_last() -> None:
    model = ChatIGGuardrail(guardrail=obliging_guardrail({GO_ON: READ, **SAYS}), seed=7)
    handed_on = [HumanMessage("Read it."), AIMessage("My colleague will do that.", name="first")]
    assert [type(one) for one in create_agent(model, [read_file]).invoke({"messages": handed_on})["messages"][2:]] == [
        AIMessage,
        ToolMessage,
        AIMessage,
    ]


def test_the_prebuilt_agent_gives_a_value_of_a_schema() -> None:
    says = {**SAYS, GIVE_IT: json.dumps(BLUE)}
    agent = create_react_agent(
        ChatIGGuardrail(guardrail=obliging_guardrail(says), seed=7), [read_file], response_format=Joke
    )
    told = agent.invoke(ask("Read it."))
    assert (told["messages"][-1].content, told["structured_response"]) == (CALM, Joke(**BLUE))


@pytest.mark.slow
def test_a_tool_that_is_denied_is_never_run() -> None:
    *_, answer = agent().invoke(ask("Delete it."))["messages"]
    assert answer.tool_calls == []
    assert answer.response_metadata["finish_reason"] == "content_filter"


def shown_in_messages(text: str) -> tuple[str, AIMessage]:
    pieces = [
        chunk for chunk, _ in agent().stream(ask(text), stream_mode="messages") if isinstance(chunk, AIMessageChunk)
    ]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return "".join(piece.text for piece in pieces), whole


def shown_in_updates(text: str) -> tuple[str, AIMessage]:
    steps = [
        step["model"]["messages"][0] for step in agent().stream(ask(text), stream_mode="updates") if "model" in step
    ]
    return "".join(step.text for step in steps), steps[-1]


async def shown_in_v2(text: str) -> tuple[str, AIMessage]:
    words, last = "", None
    async for event in agent().astream_events(ask(text), version="v2"):
        if event["event"] == "on_chat_model_stream":
            words += event["data"]["chunk"].text
        if event["event"] == "on_chat_model_end":
            last = event["data"]["output"]
    assert last is not None
    return words, last


def shown_in_v3(text: str) -> tuple[str, AIMessage]:
    message = agent().stream_events(ask(text), version="v3").output["messages"][-1]
    return message.text, message


@pytest.mark.slow
@pytest.mark.parametrize("way", [shown_in_messages, shown_in_updates, shown_in_v2, shown_in_v3])
@pytest.mark.parametrize("text", ["Be rude.", "Delete it."])
async def test_no_way_of_streaming_shows_what_was_not_let_through(way: Any, text: str) -> None:
    found = way(text)
    words, message = await found if hasattr(found, "__await__") else found
    assert "blockhead" not in words
    assert OPEN not in words
    assert message.response_metadata["finish_reason"] == "content_filter"
    said = message.response_metadata["ig_guardrail"]["message"]
    assert said == (REFUSAL if text == "Delete it." else CLOSING)
    assert said in words
    blocks = [block.get("value", block) for block in message.content_blocks]  # protocol events have no refusal blocks
    assert any(block.get("refusal") == said for block in blocks)


FISHED = POLITE.replace("every: 4}", "every: 4, budget: 0.6, scope: conversation}").replace("budget: 0.0, ", "")


def fishing(saver: InMemorySaver, store: InMemoryStore) -> Any:
    """An agent whose model is rude once, which costs 0.5 of the 0.6 that a conversation has."""
    guardrail = guard(ScriptedEngine(Obliging(SAYS)), compiled(FISHED), ledger=StoreLedger(store))
    model = ChatIGGuardrail(guardrail=guardrail, seed=7)
    return create_agent(model, [read_file], middleware=[GuardrailMiddleware(compiled(FISHED))], checkpointer=saver)


def reasons(agent: Any, text: str, **config: Any) -> str:
    state = agent.invoke(ask(text), {"configurable": config})
    return str(state["messages"][-1].response_metadata["finish_reason"])


@pytest.mark.slow
def test_going_back_in_time_refunds_nothing() -> None:
    agent = fishing(InMemorySaver(), InMemoryStore())
    assert reasons(agent, "Read it.", thread_id="t") == "stop"
    before = agent.get_state({"configurable": {"thread_id": "t"}}).config["configurable"]
    assert reasons(agent, "Be rude.", thread_id="t") == "stop"
    assert reasons(agent, "Be rude.", **before) == "content_filter"


@pytest.mark.slow
def test_a_copy_of_a_thread_goes_on_with_what_is_left() -> None:
    agent = fishing(InMemorySaver(), InMemoryStore())
    assert reasons(agent, "Be rude.", thread_id="t") == "stop"
    state = agent.get_state({"configurable": {"thread_id": "t"}}).values
    copy: Any = {"configurable": {"thread_id": "copy"}}
    agent.update_state(copy, {**state, "messages": []}, as_node="model")  # forgets the answer itself
    assert reasons(agent, "Be rude.", thread_id="copy") == "content_filter"
    assert reasons(agent, "Be rude.", thread_id="fresh") == "stop"


@pytest.mark.slow
def test_answers_and_calls_of_an_agent_are_charged_once() -> None:
    agent = fishing(InMemorySaver(), InMemoryStore())
    for text in ("Be rude.", "Read it.", "Read it."):
        state = agent.invoke(ask(text), {"configurable": {"thread_id": "t"}})
    spend = state["messages"][-1].response_metadata["ig_guardrail"]["spend"]["rudeness"]
    assert spend["spent"] == pytest.approx(0.5)


@pytest.mark.slow
async def test_the_same_conversation_when_awaited() -> None:
    agent = fishing(InMemorySaver(), InMemoryStore())
    told = [await agent.ainvoke(ask("Be rude."), {"configurable": {"thread_id": "t"}}) for _ in range(2)]
    assert [state["messages"][-1].response_metadata["finish_reason"] for state in told] == ["stop", "content_filter"]
