"""What callers and hosts send is looked at for its size before anything is made of it, and read in linear work."""

from __future__ import annotations

import json
from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from ig_guardrail import ChatIGGuardrail, GuardedChatModel
from ig_guardrail.drive.request import GenerationRequest, check
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.inner.pieces import CallParts
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.settings import Limits
from ig_guardrail.types import Message, Sampling
from tests.golden.conversations import CALM, compiled, scripted_guardrail
from tests.unit.langchain.teller import teller


@pytest.mark.parametrize("model", ["ours", "other"])
def test_messages_are_counted_as_they_came_not_as_they_were_merged(model: str) -> None:
    many: list[BaseMessage] = [HumanMessage("x") for _ in range(Limits().turns + 1)]
    chat = (
        ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}))
        if model == "ours"
        else GuardedChatModel(inner=teller(CALM), policy=compiled())
    )
    with pytest.raises(RequestError, match="the conversation has 1001 messages") as caught:
        chat.invoke(many)
    assert "at most 1000 messages of 2000000 characters" in str(caught.value)
    assert chat.invoke(many[:-1]).text == CALM


def test_a_guardrail_brings_limits_of_its_own() -> None:
    guardrail = scripted_guardrail({(0, 0): CALM})
    guardrail.limits = Limits(turns=2)
    chat = ChatIGGuardrail(guardrail=guardrail)
    with pytest.raises(RequestError, match="the conversation has 3 messages"):
        chat.invoke([HumanMessage("x")] * 3)


def test_characters_are_counted_while_messages_are_read() -> None:
    unread = HumanMessage([{"type": "image", "url": "x"}])
    with pytest.raises(RequestError, match="has 3 messages and, as far as it was read, 11 characters"):
        messages_of([HumanMessage("12345"), HumanMessage("123456"), unread], Limits(characters=10))


def test_a_conversation_that_is_too_large_is_refused_with_its_size() -> None:
    ask = GenerationRequest((Message("user", "12345678901"),), Sampling())
    with pytest.raises(RequestError, match="has 1 messages and, as far as it was read, 11 characters"):
        check(ask, Limits(characters=10))


def test_messages_without_words_add_none_to_a_run() -> None:
    call = {"name": "f", "args": {}, "id": "1"}
    said = [HumanMessage("a"), AIMessage(""), AIMessage(""), HumanMessage(""), HumanMessage("b"), AIMessage("")]
    assert messages_of(said) == (
        Message("user", "a"),
        Message("assistant", ""),
        Message("user", "b"),
        Message("assistant", ""),
    )
    assert messages_of([SystemMessage(""), SystemMessage("s")]) == (Message("system", "s"),)
    results = [AIMessage("", tool_calls=[call]), ToolMessage("", tool_call_id="1"), ToolMessage("2", tool_call_id="2")]
    assert [turn.text for turn in messages_of(results)][1:] == ["", "2"]


INDEX = st.sampled_from([0, 1, 2, None])
PIECES = st.lists(
    st.builds(
        tool_call_chunk,
        name=st.sampled_from(["f", "", None]),
        args=st.sampled_from(['{"a"', ": 1", "}", "", None]),
        id=st.sampled_from(["x", "y", "", None]),
        index=INDEX,
    ),
    max_size=12,
)


def told(piece: ToolCallChunk) -> tuple[str, str, str, int | None]:
    return (piece["name"] or "", piece["args"] or "", piece["id"] or "", piece["index"])


@given(PIECES)
def test_pieces_of_calls_come_together_as_langchain_puts_them_together(pieces: list[ToolCallChunk]) -> None:
    parts = CallParts()
    for piece in pieces:
        parts.take([piece])
    chunks = [AIMessageChunk(content="", tool_call_chunks=[piece]) for piece in pieces]
    whole = reduce(add, chunks, AIMessageChunk(content="")).tool_call_chunks
    assert list(map(told, parts.whole())) == list(map(told, whole))


def test_arguments_in_many_pieces_are_whole() -> None:
    count = 3_000
    parts = CallParts()
    parts.take([tool_call_chunk(name="save", args='{"text": "', id="1", index=0)])
    for _ in range(count):
        parts.take([tool_call_chunk(name=None, args="word ", id=None, index=0)])
    parts.take([tool_call_chunk(name=None, args='"}', id=None, index=0)])
    (call,) = parts.whole()
    assert json.loads(call["args"] or "") == {"text": "word " * count}
