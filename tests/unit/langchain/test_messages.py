"""Messages become turns: nothing that was said is lost, nothing that is not text slips through."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.types import Message


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (SystemMessage("x"), "system"),
        (ChatMessage(content="x", role="developer"), "system"),
        (HumanMessage("x"), "user"),
        (ChatMessage(content="x", role="user"), "user"),
        (AIMessage("x"), "assistant"),
        (AIMessageChunk(content="x"), "assistant"),
        (ToolMessage("x", tool_call_id="1"), "tool"),
        (FunctionMessage(content="x", name="f"), "tool"),
    ],
)
def test_every_kind_of_message_has_its_role(message: BaseMessage, role: str) -> None:
    assert messages_of([message]) == (Message(role, "x"),)  # type: ignore[arg-type]


@pytest.mark.parametrize("message", [ChatMessage(content="x", role="narrator"), RemoveMessage(id="1")])
def test_a_role_that_is_unknown_is_refused_by_name(message: BaseMessage) -> None:
    named = "narrator" if isinstance(message, ChatMessage) else "remove"
    with pytest.raises(RequestError, match=rf"messages\[1\]: a message of role '{named}'"):
        messages_of([HumanMessage("hello"), message])


def test_text_blocks_are_joined_as_they_are() -> None:
    content: list[str | dict[str, str]] = ["one ", {"type": "text", "text": "two"}, {"type": "text", "text": " three"}]
    assert messages_of([HumanMessage(content)]) == (Message("user", "one two three"),)


@pytest.mark.parametrize("kind", ["image", "image_url", "audio", "input_audio", "video", "file", None])
def test_a_block_that_is_not_text_is_refused_with_its_place(kind: str | None) -> None:
    blocks = [{"type": "text", "text": "what is this?"}, {"type": kind, "data": "aGk=", "url": "x"}]
    with pytest.raises(RequestError) as caught:
        messages_of([SystemMessage("look"), HumanMessage(blocks)])  # type: ignore[arg-type]
    assert f"messages[1].content[1]: there is a content block of type '{kind}'" in str(caught.value)
    assert "why: the model reads text only" in str(caught.value)
    assert "fix: say it in words" in str(caught.value)


def test_thoughts_of_earlier_answers_are_left_out() -> None:
    blocks = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Yes."}]
    assert messages_of([AIMessage(blocks)]) == (Message("assistant", "Yes."),)  # type: ignore[arg-type]


def test_a_refusal_of_another_model_stays_part_of_the_history() -> None:
    assert messages_of([AIMessage([{"type": "refusal", "refusal": "No."}])]) == (Message("assistant", "No."),)


def test_tool_calls_and_their_results_stay_readable() -> None:
    call = {"name": "weather", "args": {"city": "Köln"}, "id": "1", "type": "tool_call"}
    blocks: list[str | dict[str, Any]] = [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "1", "name": "weather", "input": {}},
    ]
    history = [
        AIMessage(blocks, tool_calls=[call]),
        ToolMessage("12 degrees", tool_call_id="1"),
        ToolMessage("rain", tool_call_id="2"),
    ]
    assert messages_of(history) == (
        Message("assistant", 'Let me look.\n<tool_call>{"name": "weather", "arguments": {"city": "Köln"}}</tool_call>'),
        Message("tool", "12 degrees"),
        Message("tool", "rain"),
    )


def test_neighbours_of_one_role_become_one_turn() -> None:
    messages = [SystemMessage("a"), SystemMessage("b"), HumanMessage("c"), HumanMessage("d"), AIMessage("e")]
    assert messages_of(messages) == (Message("system", "a\n\nb"), Message("user", "c\n\nd"), Message("assistant", "e"))
