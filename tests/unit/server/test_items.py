"""The items of an input as messages: what belongs to one answer is one message."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from ig_guardrail.integrations.langchain.messages.blocks import THOUGHT
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.openai_server.answering import UNSAID
from ig_guardrail.integrations.openai_server.wires import items
from ig_guardrail.integrations.openai_server.wires.items import named_items, passed_over, read_items

THOUGHT_ITEM = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm."}],
}
WORDS = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "Nothing."}


def read(*items: Any) -> Any:
    return read_items(list(items), lambda name: None)


def words(message: BaseMessage) -> str:
    """What the model is told that was said."""
    (turn,) = messages_of([message])
    return turn.text if turn.role == "tool" else turn.said[0].words


def words_said(message: BaseMessage) -> str:
    return messages_of([message])[0].text


def test_thought_words_and_calls_in_a_row_are_one_message() -> None:
    answer, result, again = read(THOUGHT_ITEM, WORDS, CALL, {**CALL, "call_id": "c2"}, OUTPUT, CALL)
    assert answer.additional_kwargs == {THOUGHT: "Hm."}
    assert words(answer) == "I look."
    assert [(call["id"], call["args"]) for call in answer.tool_calls] == [("c1", {"at": 1}), ("c2", {"at": 1})]
    assert (result.tool_call_id, words(result)) == ("c1", "Nothing.")
    assert again.tool_calls


def test_messages_in_a_row_stay_apart() -> None:
    first, second = read(WORDS, WORDS)
    assert words(first) == words(second) == "I look."
    _, after = read(CALL, WORDS)
    assert isinstance(after, AIMessage)
    assert not after.tool_calls


def test_an_item_whose_type_is_left_empty_is_a_message() -> None:
    item = {"type": None, "id": None, "role": "user", "content": "Hi.", "status": None}
    (message,) = read(item)
    assert words_said(message) == "Hi."
    assert passed_over([item]) == ()
    (named,) = named_items([item], lambda name: None)
    assert named["type"] == "message"
    assert named["id"].startswith("msg_")


def test_what_nobody_said_is_left_out() -> None:
    parts = [{"type": "output_text", "text": "{"}, {"type": "refusal", "refusal": UNSAID}]
    (message,) = read({"role": "assistant", "content": parts})
    assert words(message) == "{"


def test_fields_that_change_nothing_are_told() -> None:
    items = [{**WORDS, "phase": "commentary"}, {**THOUGHT_ITEM, "encrypted_content": "x"}, {**CALL, "status": "done"}]
    assert passed_over(items) == ("input.encrypted_content", "input.phase")


def test_calls_in_a_row_are_read_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(AIMessage):
        def __init__(self, content: Any, **more: Any) -> None:
            made.append(len(more.get("tool_calls", ())))
            super().__init__(content, **more)

    monkeypatch.setattr(items, "AIMessage", Counted)
    (answer,) = read(*[{**CALL, "call_id": f"c{number}"} for number in range(500)])
    assert [call["id"] for call in answer.tool_calls] == [f"c{number}" for number in range(500)]
    assert sum(made) <= 1_000
