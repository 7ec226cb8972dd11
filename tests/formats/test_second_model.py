"""Tools with a real model that has a format of its own, and forgets it: `make test-models` names it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from langchain_core.tools import tool

from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.golden.conversations import POLITE, compiled

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif("IG_TEST_TOOL_MODEL" not in os.environ, reason="$IG_TEST_TOOL_MODEL names no model"),
]
ASKED = {
    "What is the weather in Paris?": ("get_weather", {"city": "Paris"}),
    "How warm is it in Cairo?": ("get_weather", {"city": "Cairo"}),
    "Put 'Dentist' into my calendar on 2026-12-04.": ("add_event", {"title": "Dentist", "date": "2026-12-04"}),
}


@tool
def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return "sunny"


@tool
def send_email(to: str, subject: str, body: str) -> str:
    """Send an email."""
    return "sent"


@tool
def add_event(title: str, date: str) -> str:
    """Add an event to the calendar. The date is written YYYY-MM-DD."""
    return "added"


@pytest.fixture(scope="module")
def model() -> ChatIGGuardrail:
    return ChatIGGuardrail(
        model=os.environ["IG_TEST_TOOL_MODEL"], policy=compiled(POLITE), temperature=0, max_tokens=120
    )


@pytest.mark.parametrize("asked", ASKED)
def test_calls_are_found_as_the_model_writes_them(model: ChatIGGuardrail, asked: str) -> None:
    message: Any = model.bind_tools([get_weather, send_email, add_event]).invoke(asked)
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [ASKED[asked]]
    assert (message.text, message.response_metadata["finish_reason"]) == ("", "tool_calls")


def test_words_are_words(model: ChatIGGuardrail) -> None:
    message: Any = model.bind_tools([get_weather, send_email, add_event]).invoke("Write a haiku about rain.")
    assert (message.tool_calls, message.response_metadata["finish_reason"]) == ([], "stop")
    assert "rain" in message.text.lower()


def test_it_is_made_to_write_its_own_format(model: ChatIGGuardrail) -> None:
    bound = model.bind_tools([get_weather, send_email, add_event], tool_choice="get_weather")
    message: Any = bound.invoke("Is it raining in Oslo right now?")
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("get_weather", {"city": "Oslo"})]
    assert message.response_metadata["ig_guardrail"]["text"].startswith("<tool_call>")
