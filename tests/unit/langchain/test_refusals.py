"""A refusal is seen everywhere: as a content block, a finish reason and a record, or an error instead of a value."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel

from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.langchain.structured import AnswerCut, AnswerRefused
from ig_guardrail.types import Message
from tests.golden.conversations import LATE, RUDE, scripted_guardrail
from tests.unit.langchain.test_tools import READ, TOOLS, model

REFUSAL, CLOSING = "I would rather not say that.", "I stop here."

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


class Reply(BaseModel):
    """A reply."""

    text: str


def refusing(said: str = RUDE, **settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): said}), seed=7, **settings)


def folded(chunks: Any) -> AIMessageChunk:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    whole: AIMessageChunk = first
    return whole


def test_the_beginning_of_an_answer_and_the_closing_message_are_two_blocks() -> None:
    words, closing = refusing(LATE).invoke("Go.").content_blocks
    assert words["type"] == "text"
    assert words["text"].startswith("The sky looks blue")
    assert not words["text"].endswith("\n")
    assert (closing["type"], closing["refusal"]) == ("refusal", CLOSING)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_stream_keeps_the_refusal(version: str) -> None:
    whole = folded(refusing(output_version=version).stream("Go."))
    assert [block["type"] for block in whole.content_blocks] == ["refusal"]
    assert whole.response_metadata["ig_guardrail"]["message"] == REFUSAL


def test_a_refusal_that_came_as_protocol_events_can_be_given_back() -> None:
    message: AIMessage = refusing().stream_events("Go.", version="v3").output
    assert messages_of([message]) == (Message("assistant", REFUSAL),)


def test_with_include_raw_the_error_stands_beside_the_message() -> None:
    result = refusing('{"text": "blockhead"}').with_structured_output(Reply, include_raw=True).invoke("Go.")
    assert isinstance(result["parsing_error"], AnswerRefused)
    assert result["parsed"] is None
    assert result["raw"].content == ""
    assert result["raw"].content_blocks == [
        {"type": "refusal", "refusal": REFUSAL, "extras": {"reason": "no safe continuation was found"}}
    ]


@pytest.mark.parametrize("kind", [AnswerRefused, AnswerCut])
def test_an_error_says_what_is_wrong_and_no_more_also_in_another_process(kind: type[Exception]) -> None:
    error = kind("the policy let no such answer through")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert str(error) == str(again) == "the policy let no such answer through"
    assert type(again) is kind


def test_protocol_events_hold_words_and_a_call() -> None:
    bound = model({(0, 0): f"Yes, sir. {READ}"}).bind_tools(TOOLS)
    message: AIMessage = bound.stream_events("Go.", version="v3").output
    assert [call["name"] for call in message.tool_calls] == ["read_file"]
    assert message.text == "Yes, sir. "
