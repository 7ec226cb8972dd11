"""Tool calls through the chat model: enforced, whole or not at all, and another one where the first may not be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.text.calls import OPEN, format_call
from tests.golden.conversations import CALM, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.obliging import obliging_guardrail

RULES = POLITE + 'tools: {deny: ["delete_*"], arguments: [{tool: pay, argument: amount, most: 100}]}\n'
UNSAID = POLITE + "tools: {arguments: [{tool: delete_file, argument: name, matches: 'x\\b'}]}\n"  # by no grammar


@tool
def read_file(name: str) -> str:
    """Read a file."""
    return name


@tool
def delete_file(name: str) -> str:
    """Delete a file."""
    return name


@tool
def pay(amount: int) -> str:
    """Pay an amount."""
    return str(amount)


TOOLS = [read_file, delete_file, pay]
DELETE, READ = format_call("delete_file", {"name": "a"}), format_call("read_file", {"name": "a"})


def model(told: dict[tuple[int, int], str], policy: str = RULES, **settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail(told, compiled(policy)), seed=7, **settings)


def called(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(call["name"], call["args"]) for call in message.tool_calls]


def folded(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def test_words_stream_before_a_call_and_the_call_comes_whole() -> None:
    bound = model({(0, 0): f"{CALM} {READ}"}).bind_tools(TOOLS)
    chunks = list(bound.stream("Read it."))
    assert len([chunk for chunk in chunks if chunk.content]) > 2
    assert all(OPEN not in chunk.text for chunk in chunks)
    (with_call,) = [chunk for chunk in chunks if chunk.tool_call_chunks]
    assert json.loads(with_call.tool_call_chunks[0]["args"]) == {"name": "a"}
    whole = folded(chunks)
    assert (whole.text, called(whole)) == (f"{CALM} ", [("read_file", {"name": "a"})])
    assert whole.response_metadata["finish_reason"] == "tool_calls"


def test_a_call_that_may_not_be_made_gives_way_to_another() -> None:
    told = {(0, 0): DELETE, (1, 0): READ}
    answer = model(told, UNSAID).bind_tools(TOOLS, tool_choice="any").invoke("Clean up.")
    assert called(answer) == [("read_file", {"name": "a"})]
    assert answer.response_metadata["ig_guardrail"]["charges"][-1]["budget"] in ("rudeness", "tools")


@pytest.mark.slow
def test_a_call_that_may_not_be_made_gives_way_to_words() -> None:
    answer = model({(0, 0): DELETE, (1, 0): "Never."}).bind_tools(TOOLS).invoke("Clean up.")
    assert (answer.content, called(answer)) == ("Never.", [])


def test_where_there_is_no_other_call_it_is_refused() -> None:
    answer = model({(0, 0): DELETE}).bind_tools(TOOLS, tool_choice="delete_file").invoke("Clean up.")
    assert (answer.content, called(answer)) == ("I would rather not say that.", [])
    assert answer.response_metadata["finish_reason"] == "content_filter"


def test_arguments_keep_their_rules() -> None:
    told = {(0, 0): format_call("pay", {"amount": 500}), (1, 0): format_call("pay", {"amount": 50})}
    assert called(model(told).bind_tools(TOOLS, tool_choice="pay").invoke("Pay.")) == [("pay", {"amount": 50})]


def test_a_second_call_that_may_not_be_made_takes_the_first_with_it() -> None:
    told = {(0, 0): READ + DELETE, (1, 0): READ}
    answer = model(told, UNSAID).bind_tools(TOOLS, tool_choice="any").invoke("Clean up.")
    assert called(answer) == [("read_file", {"name": "a"})]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "pay"),
        ("none", None),
        ("any", "pay"),
        ("required", "pay"),
        (True, "pay"),
        ("read_file", "read_file"),
        ({"type": "function", "function": {"name": "read_file"}}, "read_file"),
    ],
)
def test_tool_choice(choice: Any, expected: str | None) -> None:
    said = format_call(
        "read_file" if expected == "read_file" else "pay", {"name": "a"} if expected == "read_file" else {"amount": 3}
    )
    chat = ChatIGGuardrail(guardrail=obliging_guardrail({"Go.": CALM if expected is None else said}))
    answer = chat.bind_tools(TOOLS, tool_choice=choice).invoke("Go.")
    assert [name for name, _ in called(answer)] == ([expected] if expected else [])


def test_a_choice_that_names_no_tool_is_refused() -> None:
    with pytest.raises(RequestError, match=r"tool_choice is 'fly'[\s\S]*those are: read_file"):
        ChatIGGuardrail(guardrail=obliging_guardrail()).bind_tools([read_file], tool_choice="fly")


def test_one_call_at_most_where_calls_may_not_be_parallel() -> None:
    told = {(0, 0): READ + READ}
    assert len(called(model(told).bind_tools(TOOLS).invoke("Read."))) == 2
    assert len(called(model(told).bind_tools(TOOLS, parallel_tool_calls=False).invoke("Read."))) == 1


def test_earlier_calls_and_their_results_are_read() -> None:
    chat = ChatIGGuardrail(guardrail=obliging_guardrail())
    history = [
        HumanMessage("Read it."),
        AIMessage("", tool_calls=[{"name": "read_file", "args": {"name": "a"}, "id": "1"}]),
        ToolMessage("It is empty.", tool_call_id="1"),
    ]
    answer = chat.bind_tools(TOOLS).invoke(history)
    assert (answer.content, called(answer)) == (CALM, [])


@pytest.mark.slow
def test_tools_are_counted() -> None:
    chat = ChatIGGuardrail(guardrail=obliging_guardrail())
    bare, told = (chat.get_num_tokens_from_messages([HumanMessage("Hi")], tools=some) for some in (None, TOOLS))
    assert told > bare + 50
    assert chat.bind_tools(TOOLS).invoke("Hi").usage_metadata["input_tokens"] == told


LIMITED = POLITE.replace("retries: 1", "retries: 0") + "tools: {limits: [{id: payments, tool: pay, calls: 1}]}\n"
PAY = format_call("pay", {"amount": 5})


def test_a_tool_is_called_no_more_often_in_a_conversation_than_its_limit_says() -> None:
    one = model({(0, 0): PAY, (1, 0): READ}, LIMITED).bind_tools(TOOLS, tool_choice="any")
    answers = [one.invoke("Pay.", conversation=name) for name in ("c", "c", "d")]
    assert [called(answer)[0][0] for answer in answers] == ["pay", "read_file", "pay"]
    assert [answer.response_metadata["ig_guardrail"]["spend"]["payments"]["spent"] for answer in answers] == [1, 1, 1]


def test_every_call_of_an_answer_counts() -> None:
    answer = model({(0, 0): PAY + PAY}, LIMITED).bind_tools(TOOLS).invoke("Pay.", conversation="c")
    assert answer.response_metadata["finish_reason"] == "content_filter"
    assert not answer.tool_calls


def test_a_limit_needs_the_name_of_a_conversation() -> None:
    with pytest.raises(RequestError, match="no conversation is named, and budget 'payments'"):
        model({(0, 0): CALM}, LIMITED).invoke("Hello.")


def test_a_budget_for_a_tool_charges_its_calls_and_nothing_else() -> None:
    policy = POLITE.replace("every: 4}", "every: 4, scope: tool, tool: read_file}")
    rude = format_call("read_file", {"name": "blockhead"})
    other = format_call("pay", {"amount": 5})
    cost = model({(0, 0): f"{RUDE} {other}", (1, 0): CALM}, policy)
    assert called(cost.bind_tools(TOOLS).invoke("Go.", conversation="c")) == [("pay", {"amount": 5})]
    cost = model({(0, 0): rude, (1, 0): other}, policy)
    answer = cost.bind_tools(TOOLS, tool_choice="any").invoke("Go.", conversation="c")
    assert called(answer)
    assert "blockhead" not in str(called(answer))


@pytest.mark.parametrize("choice", [{"foo": 1}, {}, {"type": 5}, {"function": "pay"}])
def test_a_choice_that_names_nothing_is_refused_and_not_left_out(choice: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"^tool_choice is .*\n  why: it names no tool"):
        model({}).bind_tools(TOOLS, tool_choice=choice)


@pytest.mark.parametrize("kind", ["web_search", "code_interpreter", "computer_use_preview"])
def test_tools_that_other_servers_run_are_refused_by_their_type(kind: str) -> None:
    with pytest.raises(RequestError, match=f"a tool is of type '{kind}', and no function"):
        model({}).bind_tools([{"type": kind}])


def test_two_tools_of_one_name_are_refused_and_one_given_twice_is_not() -> None:
    other = {"title": "pay", "description": "Pay.", "type": "object", "properties": {"sum": {"type": "integer"}}}
    with pytest.raises(RequestError, match="two tools are named 'pay'"):
        model({}).bind_tools([pay, other])
    model({}).bind_tools([pay, pay])
