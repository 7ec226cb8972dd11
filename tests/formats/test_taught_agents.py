"""Agents over tiny models that decode, one of each shape: nothing of what they say is scripted."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from ig_guardrail.assembly import guard
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.messages import outcomes
from ig_guardrail.ledger import MemoryLedger
from tests.formats.shapes import SHAPES, WITHOUT
from tests.formats.taught import REFUSAL, TOOLS, taught_engine
from tests.golden.conversations import POLITE, compiled

pytestmark = pytest.mark.slow
RULES = POLITE + 'tools: {deny: ["delete_*"], arguments: [{tool: pay, argument: amount, most: 100}]}\n'
READ_A, READ_B = ("read_file", {"name": "a"}), ("read_file", {"name": "b"})
PAID = ("pay", {"amount": 5, "to": "Ann", "now": True})
THREAD: Any = {"configurable": {"thread_id": "t"}}

every_shape = pytest.mark.parametrize("shape", [*SHAPES, *WITHOUT])


@pytest.fixture(autouse=True)
def numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are numbered as in the lessons, and not by chance: so a test goes the same way each time."""
    numbers = itertools.count()
    monkeypatch.setattr(outcomes, "uuid4", lambda: SimpleNamespace(hex=f"{next(numbers):024x}"))


def agent(shape: str) -> Any:
    rail = guard(taught_engine(shape), compiled(RULES), ledger=MemoryLedger())
    model = ChatIGGuardrail(guardrail=rail, temperature=0.0, seed=7, max_tokens=120, reasoning="hide")
    return create_agent(model, TOOLS, checkpointer=InMemorySaver())


def asked(running: Any, text: str) -> list[Any]:
    """What is said from a question on."""
    messages = running.invoke({"messages": [HumanMessage(text)]}, THREAD)["messages"]
    start = max(place for place, one in enumerate(messages) if isinstance(one, HumanMessage))
    return list(messages[start + 1 :])


def called(message: Any) -> list[tuple[str, Any]]:
    return [(one["name"], one["args"]) for one in message.tool_calls]


@every_shape
def test_calls_results_and_what_was_kept_of_them(shape: str) -> None:
    running = agent(shape)
    call, result, answer = asked(running, "Read a.")
    assert (call.text.strip(), called(call), call.invalid_tool_calls) == ("Of course.", [READ_A], [])
    assert (result.content, answer.text) == ("a is empty", "It is empty.")
    assert [one.text for one in asked(running, "Hello.")] == ["Hello to you."]
    for text, made, said in (("Show b.", READ_B, "It is full."), ("Pay Ann.", PAID, "Ann has it.")):
        running = agent(shape)
        call, _, answer = asked(running, text)
        assert (call.text, called(call), answer.text) == ("", [made], said)
        call, _, answer = asked(running, "Again.")
        assert (called(call), answer.text) == ([made], said)


@pytest.mark.parametrize("shape", [*(name for name, one in SHAPES.items() if one.parallel), *WITHOUT])
def test_calls_of_one_answer(shape: str) -> None:
    running = agent(shape)
    call, first, second, answer = asked(running, "Do both.")
    assert (called(call), answer.text) == ([PAID, READ_A], "Both are done.")
    assert [one.content for one in (first, second)] == ["5 paid to Ann", "a is empty"]
    call, *_, answer = asked(running, "Again.")
    assert (called(call), answer.text) == ([PAID, READ_A], "Both are done.")


@every_shape
def test_a_stream_shows_the_same_and_each_call_whole(shape: str) -> None:
    running = agent(shape)
    streamed = [
        one for one, _ in running.stream({"messages": [HumanMessage("Read a.")]}, THREAD, stream_mode="messages")
    ]
    chunks = [one for one in streamed if isinstance(one, AIMessageChunk)]
    assert "".join(one.text for one in chunks).split("\n") == ["Of course.", "It is empty."]
    assert [json.loads(one["args"]) for chunk in chunks for one in chunk.tool_call_chunks] == [{"name": "a"}]
    assert [one.content for one in streamed if isinstance(one, ToolMessage)] == ["a is empty"]
    kept = running.get_state(THREAD).values["messages"]
    assert [called(one) for one in kept if isinstance(one, AIMessage)] == [[READ_A], []]


@every_shape
@pytest.mark.parametrize("text", ["Remove it.", "Be rude."])
def test_a_call_that_the_policy_denies_is_never_made(shape: str, text: str) -> None:
    running = agent(shape)
    streamed = [one for one, _ in running.stream({"messages": [HumanMessage(text)]}, THREAD, stream_mode="messages")]
    assert not any(one.tool_call_chunks for one in streamed if isinstance(one, AIMessageChunk))
    kept = running.get_state(THREAD).values["messages"]
    ((record),) = [one.response_metadata["ig_guardrail"] for one in kept if isinstance(one, AIMessage)]
    assert (kept[-1].text, record["verdict"]["outcome"]) == (REFUSAL, "refused")
    assert [one.text for one in asked(running, "Hello.")] == ["Hello to you."]


@every_shape
def test_arguments_keep_to_the_rules_at_every_token(shape: str) -> None:
    call, *_ = asked(agent(shape), "Spend much.")
    assert [(name, arguments["amount"] <= 100) for name, arguments in called(call)] in ([], [("pay", True)])
