"""A value or a call that was cut off is never passed for a whole one, whatever cut it and however it is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, field_validator

from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain import AnswerCut, AnswerRefused, ChatIGGuardrail
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.integrations.langchain.inner.answer import InnerAnswer
from ig_guardrail.text.calls import OPEN, format_call
from tests.examples import examples
from tests.golden.conversations import compiled, scripted_guardrail
from tests.unit.langchain.teller import call_part, last_part, teller
from tests.unit.langchain.test_tools import PAY, READ, RULES, TOOLS, called, folded


class Basket(BaseModel):
    """A basket."""

    owner: str
    pears: int = 0
    items: list[str] = []
    note: str | None = None


class Ticket(TypedDict):
    """A ticket."""

    owner: str
    pears: int


WHOLE = {"owner": "Mira", "pears": 1500, "items": ["flour", "salt"], "note": "ring twice"}
TICKET = {"owner": "Mira", "pears": 1500}
SHORTEST = json.dumps({"owner": ""})
NO_ROOM = "closed early, since `max_tokens` left no room|no answer of .* tokens has the form"
SCHEMA = {**Basket.model_json_schema(), "title": "Basket"}
WAYS = [
    pytest.param(schema, method, value, marks=[] if schema is Basket else pytest.mark.slow)
    for schema, value in ((Basket, WHOLE), (SCHEMA, WHOLE), (Ticket, TICKET))
    for method in ("json_schema", "json_mode", "function_calling")
]


def told(value: Any, method: str, name: str = "Basket") -> list[str]:
    """The answer that says a value, character by character."""
    return list(format_call(name, value) if method == "function_calling" else json.dumps(value))


def chat(text: Sequence[str], policy: str | None = None, **options: Any) -> ChatIGGuardrail:
    rail = scripted_guardrail({(0, 0): text}, compiled(policy) if policy else None)
    return ChatIGGuardrail(guardrail=rail, seed=7, **{"max_tokens": 400, **options})


def name_of(schema: Any) -> str:
    return "Ticket" if schema is Ticket else "Basket"


def plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else value


def invoked(chain: Runnable[Any, Any]) -> Any:
    return chain.invoke("List it.")


def batched(chain: Runnable[Any, Any]) -> Any:
    (value,) = chain.batch(["List it."], return_exceptions=True)
    if isinstance(value, Exception):
        raise value
    return value


def streamed(chain: Runnable[Any, Any]) -> Any:
    return list(chain.stream("List it."))[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "method", "value"), WAYS)
@pytest.mark.parametrize("way", [invoked, batched, streamed])
def test_what_max_tokens_cut_off_is_an_error(schema: Any, method: Any, value: Any, way: Callable[..., Any]) -> None:
    text = told(value, method, name_of(schema))
    chain = chat(text).with_structured_output(schema, method=method)
    assert plain(way(chain)) == value
    for room in range(1, len(text), 23):
        with pytest.raises((AnswerCut, RequestError), match=NO_ROOM):
            way(chat(text, max_tokens=room).with_structured_output(schema, method=method))


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "method", "value"), WAYS)
async def test_the_same_awaited(schema: Any, method: Any, value: Any) -> None:
    text = told(value, method, name_of(schema))
    for room in (len(text) // 2, len(text) - 1):
        chain = chat(text, max_tokens=room).with_structured_output(schema, method=method)
        with pytest.raises((AnswerCut, RequestError), match=NO_ROOM):
            await chain.ainvoke("List it.")
        with pytest.raises((AnswerCut, RequestError), match=NO_ROOM):
            [part async for part in chain.astream("List it.")]


few = settings(max_examples=examples(20), deadline=None)


@pytest.mark.slow
@few
@given(st.integers(1, len(json.dumps(WHOLE)) + 2), st.booleans())
def test_include_raw_has_the_value_or_the_error_and_never_a_part(room: int, streams: bool) -> None:
    chain = chat(told(WHOLE, "json_schema"), max_tokens=room).with_structured_output(SCHEMA, include_raw=True)
    if room < len(SHORTEST):
        with pytest.raises(RequestError, match=NO_ROOM):
            chain.invoke("List it.")
        return
    found = folded(list(chain.stream("List it."))) if streams else chain.invoke("List it.")
    whole = room >= len(json.dumps(WHOLE))
    assert found["parsed"] == (WHOLE if whole else None)
    assert isinstance(found["parsing_error"], AnswerCut) is not whole
    assert isinstance(json.loads(found["raw"].text), dict)  # it was closed, and is told from what was meant
    assert found["raw"].response_metadata["finish_reason"] == ("stop" if whole else "length")


@pytest.mark.parametrize(("method", "stop"), [("json_schema", "flour"), ("function_calling", "flour")])
def test_what_a_stop_string_cut_off_is_an_error(method: Any, stop: str) -> None:
    with pytest.raises(AnswerCut):
        chat(told(WHOLE, method), stop=[stop]).with_structured_output(Basket, method=method).invoke("List it.")


@pytest.mark.parametrize(
    ("options", "value"),
    [({}, 1500), ({"stop": ["!"]}, 1500), ({"stop": ["00"]}, None), ({"max_tokens": 2}, None)],
)
def test_a_number_alone_is_whole_where_nothing_may_have_cut_it(options: dict[str, Any], value: int | None) -> None:
    chain = chat(list("1500"), **options).with_structured_output({"title": "n", "type": "integer"}, include_raw=True)
    assert chain.invoke("How many?")["parsed"] == value


@pytest.mark.slow
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_what_a_deadline_cut_off_is_an_error(method: Any) -> None:
    gate = threading.Event()
    incidents = Incidents(gates={("extend", 12): gate})
    rail = scripted_guardrail({(0, 0): told(WHOLE, method)}, incidents=incidents)
    chain = ChatIGGuardrail(guardrail=rail, seed=7, timeout=0.5).with_structured_output(Basket, method=method)
    with pytest.raises(AnswerCut, match="time was up"):
        chain.invoke("List it.")
    gate.set()


@pytest.mark.slow
def test_a_refusal_beside_the_message_is_no_value() -> None:
    chain = chat(told({"owner": "blockhead"}, "json_schema"))
    for found in (
        chain.with_structured_output(Basket, include_raw=True).invoke("Go."),
        folded(list(chain.with_structured_output(Basket, include_raw=True).stream("Go."))),
    ):
        assert found["parsed"] is None
        assert isinstance(found["parsing_error"], AnswerRefused)


class Even(BaseModel):
    """An even number."""

    number: int

    @field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        if number % 2:
            raise ValueError("it is odd")
        return number


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_stream_ends_in_the_error_of_a_value_that_does_not_fit(method: Any) -> None:
    chain = chat(told({"number": 123}, method, "Even")).with_structured_output(Even, method=method)
    with pytest.raises(ValueError, match="it is odd"):
        list(chain.stream("Go."))


# ------------------------------------------------------------------------------------------------------- other models


CUT = [call_part("Basket", '{"owner": "Mi', "c"), last_part("length")]


@pytest.mark.parametrize("parts", [CUT, [call_part("Basket", "", "c"), last_part("length")], ["Just words."]])
async def test_of_another_model_too(parts: list[Any]) -> None:
    chain = GuardedChatModel(inner=teller(parts), policy=compiled()).with_structured_output(Basket)
    for way in (invoked, batched, streamed):
        with pytest.raises(AnswerCut):
            way(chain)
    with pytest.raises(AnswerCut):
        await chain.ainvoke("List it.")
    raw = GuardedChatModel(inner=teller(parts), policy=compiled()).with_structured_output(Basket, include_raw=True)
    assert isinstance(raw.invoke("List it.")["parsing_error"], AnswerCut)


def test_a_cut_call_of_another_model_is_an_invalid_call() -> None:
    parts = [call_part("pay", '{"amount": 5}', "a", 0), call_part("read_file", '{"na', "b", 1), last_part("length")]
    model = GuardedChatModel(inner=teller(parts), policy=compiled(RULES)).bind_tools(TOOLS)
    for answer in (model.invoke("Go."), folded(list(model.stream("Go.")))):
        assert answer.response_metadata["finish_reason"] == "length"
        assert answer.usage_metadata["output_tokens"] == 5
        assert called(answer) == [("pay", {"amount": 5})]
        assert [call["name"] for call in answer.invalid_tool_calls] == ["read_file"]


def test_so_is_one_that_the_other_model_called_invalid_itself() -> None:
    cut = {"type": "invalid_tool_call", "name": "pay", "args": '{"amo', "id": "a", "error": None}
    answer = InnerAnswer()
    answer.read(AIMessage("", invalid_tool_calls=[cut], response_metadata={"finish_reason": "length"}))
    text = answer.end()
    assert answer.shown(text) == ("", [])
    assert (answer.called, answer.cut) == (0, "pay")


@pytest.mark.slow
def test_calls_that_were_not_read_to_their_end_are_not_made() -> None:
    calls = [call_part("pay", '{"amount": 5}', "a", 0), call_part("read_file", '{"name": "a"}', "b", 1), last_part()]
    known = len(called(GuardedChatModel(inner=teller(calls), policy=compiled(RULES)).invoke("Go.")))
    assert known == 2
    for longest in range(1, 30):
        model = GuardedChatModel(inner=teller(calls), policy=compiled(RULES), longest=longest)
        answer = model.invoke("Go.")
        made = called(answer)
        assert made == [("pay", {"amount": 5}), ("read_file", {"name": "a"})][: len(made)]
        assert bool(answer.invalid_tool_calls) is (len(made) < 2)


def test_a_cut_call_of_a_tool_that_is_denied_is_refused() -> None:
    model = GuardedChatModel(
        inner=teller([call_part("delete_file", '{"na', "b"), last_part("length")]), policy=compiled(RULES)
    )
    answer = model.invoke("Go.")
    assert (answer.invalid_tool_calls, answer.response_metadata["finish_reason"]) == ([], "content_filter")


# --------------------------------------------------------------------------------------------------- calls of our own


TEXT = list(f"Yes.\n{PAY}\n{READ}")
MADE = [("pay", {"amount": 5}), ("read_file", {"name": "a"})]


@pytest.mark.slow
@few
@given(st.integers(6, len(TEXT) + 3), st.sampled_from(["v0", "v1"]))
def test_a_cut_call_is_an_invalid_call_and_whole_ones_before_it_are_made(room: int, version: str) -> None:
    bound = chat(TEXT, RULES, max_tokens=room, output_version=version).bind_tools(TOOLS)
    invoked = bound.invoke("Go.")
    whole = len([end for end in (5 + len(PAY), len(TEXT)) if room >= end])
    between = room in (5 + len(PAY), 6 + len(PAY))  # the end of the first call, or the blank behind it
    for answer in (invoked, folded(list(bound.stream("Go.")))):
        assert answer.text == "Yes.\n"
        assert called(answer) == MADE[:whole]
        cut = whole < 2 and not between
        assert len(answer.invalid_tool_calls) == cut
        assert answer.response_metadata["finish_reason"] == ("length" if cut else "tool_calls")
        assert answer.usage_metadata["output_tokens"] == min(room, len(TEXT))
    again = bound.invoke([HumanMessage("Go."), invoked, HumanMessage("Go on.")])
    assert isinstance(again, AIMessage)


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["any", "pay", "auto"])
def test_no_cut_answer_is_empty(choice: str) -> None:
    for room in (1, 5, len(OPEN), len(OPEN) + 12, len(PAY) - 4, len(PAY) - 1):
        if choice != "auto":  # a call must be made, and there is no room for one
            with pytest.raises(RequestError, match=NO_ROOM):
                chat(list(PAY), RULES, max_tokens=room).bind_tools(TOOLS, tool_choice=choice).invoke("Go.")
            continue
        answer = chat(list(PAY), RULES, max_tokens=room).bind_tools(TOOLS, tool_choice=choice).invoke("Go.")
        assert len(answer.invalid_tool_calls) == 1
        assert answer.response_metadata["finish_reason"] == "length"
        assert OPEN[:2] not in answer.text
        assert answer.usage_metadata["output_tokens"] == room


@pytest.mark.slow
def test_a_call_that_a_deadline_or_a_stop_string_cut_is_told() -> None:
    gate = threading.Event()
    rail = scripted_guardrail({(0, 0): TEXT}, compiled(RULES), Incidents(gates={("extend", 12): gate}))
    answer = ChatIGGuardrail(guardrail=rail, seed=7, timeout=0.5).bind_tools(TOOLS).invoke("Go.")
    gate.set()
    assert [call["name"] for call in answer.invalid_tool_calls] == ["pay"]
    assert answer.response_metadata["finish_reason"] == "cancelled"
    answer = chat(TEXT, RULES, stop=["amount"]).bind_tools(TOOLS).invoke("Go.")
    assert [call["name"] for call in answer.invalid_tool_calls] == ["pay"]
    assert answer.response_metadata["finish_reason"] == "stop"
