"""The rest of the chat-model contract: several answers, another model for one call, copies, fallbacks, limits."""

from __future__ import annotations

import enum
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from ig_guardrail.engine.scripted.engine import Incidents
from ig_guardrail.errors import EngineError, GenerationFailed, ModelError, RequestError
from ig_guardrail.integrations.langchain import ChatIGGuardrail, init_guarded_chat_model
from ig_guardrail.integrations.langchain.response_format import schema_of
from ig_guardrail.text.calls import format_call
from tests.golden.conversations import CALM, POLITE, compiled, scripted_guardrail
from tests.unit.langchain.obliging import JOKE, obliging_guardrail


def chat(told: str = CALM, **settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): told}), **settings)


def test_several_answers_each_have_a_seed_of_their_own() -> None:
    result = chat(n=3, seed=7).generate([[HumanMessage("Go.")]])
    receipts = [one.message.response_metadata["ig_guardrail"] for one in result.generations[0]]
    assert [receipt["sampling"]["seed"] for receipt in receipts] == [7, 8, 9]


async def test_several_answers_when_awaited() -> None:
    result = await chat(seed=7).agenerate([[HumanMessage("Go.")]], n=2)
    assert [one.text for one in result.generations[0]] == [CALM, CALM]
    seeds = [one.message.response_metadata["ig_guardrail"]["sampling"]["seed"] for one in result.generations[0]]
    assert seeds == [7, 8]


def test_a_model_of_one_call_must_be_the_one_that_is_open() -> None:
    assert chat().invoke("Go.", model="scripted").response_metadata["model_name"] == "scripted"
    with pytest.raises(RequestError, match="a call asks for model 'other'"):
        chat().invoke("Go.", model="other")


def test_a_model_of_one_call_is_opened_by_name() -> None:
    with pytest.raises(ModelError, match=r"there is no folder '\./no/such'"):
        ChatIGGuardrail(model="embedded").invoke("Go.", model="./no/such")


def test_a_model_is_made_by_names() -> None:
    made = init_guarded_chat_model("ig-guardrail:some/model", "strict", temperature=0)
    assert (made.model, made.policy, made.temperature) == ("some/model", "strict", 0)


@pytest.mark.parametrize("name", ["openai:gpt-4o", "anthropic:claude", "ollama:llama3"])
def test_a_model_of_another_provider_is_refused_where_it_is_named(name: str) -> None:
    with pytest.raises(ModelError, match="is another provider") as caught:
        init_guarded_chat_model(name)
    assert f"GuardedChatModel(inner=init_chat_model('{name}'), policy=...)" in str(caught.value)


def test_a_model_made_by_names_can_be_pickled() -> None:
    made = ChatIGGuardrail(model="some/model", seed=3)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301  # our own bytes
    assert (again.model, again.seed) == ("some/model", 3)
    assert again._opened().spec.model == "some/model"


def test_the_profile_tells_agents_what_the_model_can_do() -> None:
    profile = chat().profile
    assert profile is not None
    assert {profile[name] for name in ("tool_calling", "tool_choice", "structured_output")} == {True}
    assert profile["max_input_tokens"] == 4096


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    for _ in range(3):
        chat().invoke("Go.")
    assert threading.active_count() <= before + 1


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


def test_tools_and_a_schema_in_one_request() -> None:
    model = ChatIGGuardrail(guardrail=obliging_guardrail({"Call.": format_call("Joke", JOKE)}))
    form = {"type": "json_schema", "json_schema": {"name": "joke", "schema": Joke.model_json_schema()}}
    bound = model.bind_tools([Joke], response_format=form)
    assert bound.invoke("Call.").tool_calls[0]["args"] == JOKE
    answered = model.bind_tools([Joke], response_format=form, tool_choice="none").invoke("Joke.")
    assert Joke.model_validate_json(answered.text) == Joke(**JOKE)


@pytest.mark.parametrize("schema", [Joke, Joke.model_json_schema()])
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output(schema: Any, method: Any) -> None:
    said = {"Joke.": format_call("Joke", JOKE)}
    model = ChatIGGuardrail(guardrail=obliging_guardrail(said if method == "function_calling" else None))
    found = model.with_structured_output(schema, method=method).invoke("Joke.")
    assert (found.model_dump() if isinstance(found, Joke) else found) == JOKE


def test_structured_output_streams_a_growing_value() -> None:
    model = ChatIGGuardrail(guardrail=obliging_guardrail())
    steps = list(model.with_structured_output(Joke.model_json_schema()).stream("Joke."))
    assert len(steps) > 2
    assert steps[-1] == JOKE


def test_a_method_or_schema_that_is_none_is_refused() -> None:
    with pytest.raises(RequestError, match="method is 'xml'"):
        chat().with_structured_output(Joke, method="xml")
    with pytest.raises(RequestError, match="no schema is given"):
        chat().with_structured_output()


SHARED = POLITE.replace("every: 4}", "every: 4, scope: conversation}")


def test_an_answer_that_is_charged_to_a_conversation_needs_its_name() -> None:
    with pytest.raises(RequestError, match="no conversation is named"):
        ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, compiled(SHARED))).invoke("Go.")


def test_the_thread_of_a_graph_is_the_conversation() -> None:
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, compiled(SHARED)), seed=7)
    node = RunnableLambda(lambda text: model.invoke(text))
    answers = [node.invoke("Go.", {"configurable": {"thread_id": name}}) for name in ("a", "a", "b")]
    assert [answer.response_metadata["ig_guardrail"]["turn"] for answer in answers] == [1, 2, 1]


def test_a_ledger_in_a_file_is_made_by_its_path(tmp_path: Path) -> None:
    made = ChatIGGuardrail(model="some/model", ledger=tmp_path / "ledger.db")
    assert made._opened().spec.ledger == tmp_path / "ledger.db"
    with pytest.raises(RequestError, match="both a guardrail and a ledger"):
        chat(ledger=tmp_path / "ledger.db")


def test_a_model_of_one_call_keeps_the_conversations_of_the_others() -> None:
    model = ChatIGGuardrail(model="some/model")
    usual, other = model._opened(), model._opened("another/model")
    assert usual.spec.ledger is other.spec.ledger
    assert model._opened("another/model") is other
    assert model._opened() is usual


async def test_if_one_of_several_answers_fails_the_others_are_given_up() -> None:
    rail = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(faults={("extend", 3): EngineError("no")}))
    with pytest.raises(GenerationFailed, match="no"):
        await ChatIGGuardrail(guardrail=rail).agenerate([[HumanMessage("Go.")]], n=3)
    assert rail.engine.live_nodes() == 0


def test_a_value_that_speaks_of_calls_is_not_cut() -> None:
    said = {"Joke.": '{"setup": "use the <tool_call> tag", "punchline": "no"}'}
    form = {"type": "json_schema", "json_schema": {"name": "joke", "schema": Joke.model_json_schema()}}
    bound = ChatIGGuardrail(guardrail=obliging_guardrail(said)).bind_tools([Joke], response_format=form)
    answer = bound.invoke("Joke.")
    assert (answer.text, answer.tool_calls) == (said["Joke."], [])
    assert answer.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "schema", [{"type": "array", "items": {"type": "integer"}}, {"$ref": "#/$defs/N", "$defs": {}}]
)
def test_any_json_schema_is_taken_as_it_is(schema: Any) -> None:
    assert schema_of(schema) == schema


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize("schema", [Colour, int, list, str])
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_class_whose_values_have_no_fields_is_no_schema(schema: type, method: Any) -> None:
    with pytest.raises(RequestError, match="put it into a field of a pydantic class"):
        chat().with_structured_output(schema, method=method)
