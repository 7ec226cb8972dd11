"""The middleware around an agent: input, tool results, calls with their arguments, refusals; sync and async."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import pytest
from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import PIIMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.runtime import Runtime
from typing_extensions import get_original_bases

from ig_guardrail.integrations.langchain import AnswerRefused
from ig_guardrail.integrations.langchain.middleware import REMOVED, GuardrailMiddleware
from tests.golden.conversations import POLITE, compiled

RULES = compiled(POLITE + 'tools: {deny: ["delete_*"], arguments: [{tool: pay, argument: amount, most: 100}]}\n')
REFUSAL = "I would rather not say that."

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ran: list[str] = []


@tool
def pay(amount: int) -> str:
    """Pay an amount."""
    ran.append(f"pay {amount}")
    return "paid"


@tool
def delete_file(name: str) -> str:
    """Delete a file."""
    ran.append("delete")
    return "deleted"


@tool
def fetch(page: str) -> str:
    """Fetch a page."""
    return f"It says: {page}"


class Said(GenericFakeChatModel):
    """A hosted model, as far as an agent can tell."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def agent(*said: AIMessage, **settings: Any) -> Any:
    ran.clear()
    return create_agent(
        Said(messages=iter(said)), [pay, delete_file, fetch], middleware=[GuardrailMiddleware(RULES, **settings)]
    )


def calling(tool_name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": tool_name, "args": arguments, "id": "1"}])


def ask(text: str = "Go.") -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def test_a_call_within_the_rules_is_made() -> None:
    *_, result, answer = agent(calling("pay", amount=100), AIMessage("Done.")).invoke(ask())["messages"]
    assert (result.content, answer.content, ran) == ("paid", "Done.", ["pay 100"])


@pytest.mark.parametrize("call", [calling("pay", amount=101), calling("delete_file", name="a")])
async def test_a_call_against_the_rules_is_not_made_and_the_model_is_told(call: AIMessage) -> None:
    for messages in (
        agent(call, AIMessage("Well.")).invoke(ask())["messages"],
        (await agent(call, AIMessage("Well.")).ainvoke(ask()))["messages"],
    ):
        *_, result, answer = messages
        assert isinstance(result, ToolMessage)
        assert (result.status, answer.content, ran) == ("error", "Well.", [])
        assert "budget 'tools'" in result.text


def test_other_budgets_that_read_text_see_the_arguments_too() -> None:
    *_, result, _ = agent(calling("fetch", page="blockhead"), AIMessage("Well.")).invoke(ask())["messages"]
    assert "budget 'rudeness'" in result.text


@pytest.mark.parametrize("text", ["Hello, blockhead."])
async def test_an_input_that_the_policy_refuses_ends_the_run(text: str) -> None:
    for messages in (agent().invoke(ask(text))["messages"], (await agent().ainvoke(ask(text)))["messages"]):
        assert messages[-1].content == REFUSAL
        assert messages[-1].content_blocks[0]["type"] == "refusal"
        assert messages[-1].response_metadata["finish_reason"] == "content_filter"


def test_the_name_of_a_speaker_is_a_part_of_the_input() -> None:
    (emptied, refused) = agent().invoke({"messages": [HumanMessage("Go.", name="blockhead")]})["messages"]
    assert (emptied.name, refused.content) == (None, REFUSAL)


@pytest.mark.parametrize("role", ["user", "USER", "critic"])
def test_what_is_of_no_known_role_is_an_input(role: str) -> None:
    messages = agent().invoke({"messages": [ChatMessage("Hello, blockhead.", role=role)]})["messages"]
    assert [message.text for message in messages] == [REMOVED, REFUSAL]


def test_a_refused_input_does_not_come_back_with_the_next_turn() -> None:
    one = create_agent(
        Said(messages=iter([AIMessage("Hello.")])),
        [pay],
        middleware=[GuardrailMiddleware(RULES)],
        checkpointer=InMemorySaver(),
    )
    config: Any = {"configurable": {"thread_id": "a"}}
    one.invoke(ask("Hello, blockhead."), config)
    messages = one.invoke(ask("Go on, answer that."), config)["messages"]
    assert [message.text for message in messages] == [REMOVED, REFUSAL, "Go on, answer that.", "Hello."]


def test_a_tool_result_is_checked_as_input() -> None:
    @tool
    def read(name: str) -> str:
        """Read a file."""
        return "you blockhead"

    one = create_agent(
        Said(messages=iter([calling("read", name="a"), AIMessage("never said")])),
        [read],
        middleware=[GuardrailMiddleware(RULES)],
    )
    answer = one.invoke(ask())["messages"][-1]
    assert answer.content == REFUSAL
    assert answer.response_metadata["ig_guardrail"]["verdict"]["reason"] == "prompt check of a tool's result"


async def test_refusals_are_errors_where_that_is_asked_for() -> None:
    refused = AIMessage("no", response_metadata={"finish_reason": "content_filter"})
    for one, text in ((agent(on_refusal="raise"), "blockhead"), (agent(refused, on_refusal="raise"), "Go.")):
        with pytest.raises(AnswerRefused):
            one.invoke(ask(text))
    with pytest.raises(AnswerRefused):
        await agent(on_refusal="raise").ainvoke(ask("blockhead"))


def test_its_types_are_those_of_other_middleware() -> None:
    ours, theirs = (get_args(get_original_bases(kind)[0]) for kind in (GuardrailMiddleware, PIIMiddleware))
    assert get_origin(ours[0]) is get_origin(theirs[0]) is AgentState  # so that a list may hold both
    assert ours[1] is theirs[1]  # an agent's context is of any type
    assert GuardrailMiddleware[dict[str, str]](compiled()).before_agent({"messages": []}, Runtime()) is None
