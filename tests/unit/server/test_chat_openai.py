"""LangChain's ChatOpenAI on `/v1/responses`: completed, refused, ended, tools, structured output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import OpenAIRefusalError
from pydantic import BaseModel

from tests.golden.conversations import CALM, LATE, RUDE, scripted_guardrail
from tests.unit.langchain.obliging import JOKE, obliging_guardrail
from tests.unit.server.serving import MODEL, running, server_of


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


def get_weather(location: str) -> str:
    """The weather in a city."""
    return f"Sunny in {location}."


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    guardrails = {name: scripted_guardrail({(0, 0): text}) for name, text in {"rude": RUDE, "late": LATE}.items()}
    with running(server_of(guardrails={"obliging": obliging_guardrail(), **guardrails})) as socket:
        yield socket


@pytest.fixture
def plain(socket: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=socket), timeout=60) as client:
        yield client


def model(plain: httpx2.Client, policy: str = "obliging", **settings: Any) -> ChatOpenAI:
    given: dict[str, Any] = {"use_responses_api": True, "max_retries": 0, **settings}
    return ChatOpenAI(
        model=f"{MODEL}:{policy}", base_url="http://localhost/v1", api_key="none", http_client=plain, **given
    )


def whole(chunks: Iterator[Any]) -> Any:
    first, *rest = chunks
    return sum(rest, first)


@pytest.mark.parametrize("wire", [False, True])
def test_log_probabilities_come_with_the_text_that_they_are_of(plain: httpx2.Client, wire: bool) -> None:
    asked: dict[str, Any] = {"logprobs": True} if not wire else {"include": ["message.output_text.logprobs"]}
    chat = model(plain, use_responses_api=wire, **asked)
    chunks = list(chat.stream("Why?"))
    shown, told, times = "", "", 0
    for chunk in chunks:
        shown += chunk.text
        content = (chunk.response_metadata.get("logprobs") or {}).get("content") or [] if not wire else []
        told, times = told + "".join(one["token"] for one in content), times + bool(content)
        assert shown.startswith(told)
    assert shown == CALM
    if not wire:  # of responses LangChain's client passes them over
        assert (told, times > 2) == (CALM, True)


def test_completed(plain: httpx2.Client) -> None:
    for answer in (model(plain).invoke("Why?"), whole(model(plain).stream("Why?"))):
        assert answer.text == CALM
        assert answer.response_metadata["status"] == "completed"
        assert answer.usage_metadata["total_tokens"] > 0


@pytest.mark.parametrize(
    ("policy", "text", "refusal"),
    [
        ("rude", "", "I would rather not say that."),
        ("late", "The sky looks blue because the air scatters", "I stop here."),
    ],
)
def test_refused_and_ended(plain: httpx2.Client, policy: str, text: str, refusal: str) -> None:
    answer = model(plain, policy).invoke("Why?")
    for one in (answer, whole(model(plain, policy).stream("Why?"))):
        assert one.text == text
        (block,) = [block for block in one.content if block["type"] == "refusal"]
        assert block["refusal"].strip() == refusal
    if policy == "late":
        assert answer.response_metadata["incomplete_details"] == {"reason": "content_filter"}


def test_tools(plain: httpx2.Client) -> None:
    bound = model(plain, use_previous_response_id=True).bind_tools([get_weather])
    first = bound.invoke("How is the weather?")
    (call,) = first.tool_calls
    assert call["args"] == {"location": "San Francisco, CA"}
    result = ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"])
    assert bound.invoke([HumanMessage("How is the weather?"), first, result]).text == CALM
    assert whole(bound.stream("How is the weather?")).tool_calls[0]["args"] == call["args"]


def test_structured_output(plain: httpx2.Client) -> None:
    assert model(plain).with_structured_output(Joke).invoke("A joke.") == Joke(**JOKE)
    with pytest.raises(OpenAIRefusalError):
        model(plain).with_structured_output(Joke).invoke("A joke, blockhead.")
