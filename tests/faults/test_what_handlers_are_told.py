"""Handlers of a run can write down what they are told of a call: it is JSON, with tools and schemas, and no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tools import tool
from pydantic import BaseModel

from ig_guardrail import ChatIGGuardrail, GuardedChatModel
from tests.golden.conversations import CALM, compiled
from tests.unit.langchain.obliging import obliging_guardrail
from tests.unit.langchain.teller import Teller, call_part, last_part, teller

ADDRESS = "postgresql://me:hunter2@db.example.org/audit"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


class Told(BaseCallbackHandler):
    """What is told of a call when it begins."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def on_chat_model_start(self, serialized: dict[str, Any], messages: Any, **kwargs: Any) -> None:
        told = {name: kwargs.get(name) for name in ("invocation_params", "options", "metadata", "tags")}
        self.calls.append({"serialized": serialized, **told})


def local() -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=obliging_guardrail(), tenant="acme", logit_bias={5: 1.0})


def hosted() -> GuardedChatModel:
    call = [call_part("Joke", '{"setup": "a", "punchline": "b"}', "1"), last_part("tool_calls")]
    return GuardedChatModel(inner=teller(call), policy=compiled(), tenant="acme")


WAYS: dict[str, Callable[[Any, Any], object]] = {
    "invoke": lambda model, config: model.invoke("Go.", config),
    "stream": lambda model, config: list(model.stream("Go.", config)),
    "batch": lambda model, config: model.batch(["Go."], config),
    "tools": lambda model, config: model.bind_tools([add, Joke]).invoke("Go.", config),
    "streamed tools": lambda model, config: list(model.bind_tools([add, Joke]).stream("Go.", config)),
    "a value": lambda model, config: model.with_structured_output(Joke).invoke("Go.", config),
}


@pytest.mark.parametrize("make", [local, hosted])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_json(make: Callable[[], Any], way: str) -> None:
    told = Told()
    WAYS[way](make(), {"callbacks": [told]})
    (call,) = told.calls
    assert json.loads(json.dumps(call))
    assert "payer" not in call["invocation_params"]
    if "tools" in way:
        names = [one["function"]["name"] for one in call["invocation_params"]["tools"]]
        assert names == ["add", "Joke"]


def test_another_model_binds_the_tools_as_they_were_given() -> None:
    bound: list[Any] = []

    class Binding(Teller):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            bound.extend(tools)
            return super().bind_tools(tools, **kwargs)

    builtin = {"type": "web_search"}
    inner = Binding(answers=teller(CALM).answers, log=teller().log)
    model = GuardedChatModel(inner=inner, policy=compiled()).bind_tools([add, Joke, builtin])
    assert model.invoke("Go.").text == CALM
    assert "".join(chunk.text for chunk in model.stream("Go.")) == CALM
    assert bound[-3:] == [add, Joke, builtin]


@pytest.mark.parametrize("name", ["audit", "ledger", "record"])
def test_a_password_in_an_address_is_not_shown(name: str) -> None:
    model = ChatIGGuardrail(**{name: ADDRESS})
    assert "hunter2" not in repr(model) + str(model)


def test_nor_where_another_model_is_guarded() -> None:
    field = GuardedChatModel.model_fields["audit"]
    assert field.repr is False
