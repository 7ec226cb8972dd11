"""The chat model: one stream behind four ways to call it, outcomes that cannot be mistaken, options never dropped."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any, get_origin, get_type_hints

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, trim_messages
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from ig_guardrail import GenerationFailed, GuardedChatModel, Guardrail, GuardRunnable
from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations, TokenTree, Vocabulary
from ig_guardrail.errors import EngineError, ModelError, PolicyError, RequestError, UnguardedNotAllowed
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.golden.conversations import CALM, KIND, LATE, POLITE, RUDE, compiled, scripted_guardrail


def chat(told: str | dict[tuple[int, int], str] = CALM, **settings: Any) -> ChatIGGuardrail:
    script = {(0, 0): told} if isinstance(told, str) else told
    return ChatIGGuardrail(guardrail=scripted_guardrail(script), **{"seed": 7, **settings})


def tossing_guardrail() -> Guardrail:
    """A model that says heads or tails twelve times, by chance."""
    vocabulary = Vocabulary(["heads ", "tails "])
    odds = ((0, 0.5), (1, 0.5))
    prefixes = [prefix for length in range(12) for prefix in itertools.product((0, 1), repeat=length)]
    return guard(ScriptedEngine(TokenTree(dict.fromkeys(prefixes, odds), vocabulary)), compiled())


def record(message: AIMessage) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["ig_guardrail"]
    return found


# ------------------------------------------------------------------------------------------------------ one stream


@pytest.mark.parametrize("seed", range(8))
async def test_all_four_ways_to_call_it_say_the_same(seed: int) -> None:
    model = ChatIGGuardrail(guardrail=tossing_guardrail(), seed=seed, temperature=1.0, top_p=1.0)
    invoked = model.invoke("toss")
    assert invoked.text.count(" ") == 12
    assert "".join(chunk.text for chunk in model.stream("toss")) == invoked.text
    assert (await model.ainvoke("toss")).text == invoked.text
    assert "".join([chunk.text async for chunk in model.astream("toss")]) == invoked.text


def test_seeds_make_a_difference() -> None:
    model = ChatIGGuardrail(guardrail=tossing_guardrail(), temperature=1.0, top_p=1.0)
    assert len({model.invoke("toss", seed=seed).text for seed in range(8)}) > 1


def test_the_first_chunk_comes_while_the_model_still_speaks() -> None:
    model = chat()
    assert isinstance(model.guardrail, Guardrail)
    engine = model.guardrail.engine
    assert isinstance(engine, ScriptedEngine)
    with closing(model.stream("why?")) as chunks:
        assert next(chunks).text == "The sky looks blue"
        drawn = engine.calls("extend")
        assert "".join(chunk.text for chunk in chunks) == CALM.removeprefix("The sky looks blue")
    assert engine.calls("extend") > drawn


def test_it_stands_in_a_chain() -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
    chain = prompt | chat() | StrOutputParser()
    assert chain.invoke({"question": "Why is the sky blue?"}) == CALM


# --------------------------------------------------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("told", "options", "outcome", "finish_reason", "content"),
    [
        (CALM, {}, "completed", "stop", CALM),
        (CALM, {"max_tokens": 3}, "completed", "length", "The sky looks"),
        (CALM, {"stop": [" because"]}, "completed", "stop", "The sky looks blue"),
        ({(0, 0): RUDE, (1, 0): KIND}, {}, "completed", "stop", KIND),
        (RUDE, {}, "refused", "content_filter", "I would rather not say that."),
        (RUDE, {"language": "de"}, "refused", "content_filter", "Das möchte ich nicht sagen."),
        (
            LATE,
            {},
            "ended",
            "content_filter",
            "The sky looks blue because the air scatters\n\nI stop here.",
        ),
        (RUDE, {"strategy": "none"}, "completed", "stop", RUDE),
    ],
)
def test_an_outcome_has_its_finish_reason_and_exactly_the_text_that_was_shown(
    told: Any, options: dict[str, Any], outcome: str, finish_reason: str, content: str
) -> None:
    message = chat(told).invoke("why?", **options)
    assert message.content == content
    assert message.response_metadata["finish_reason"] == finish_reason
    assert record(message)["verdict"]["outcome"] == outcome
    assert record(message)["text"] == content
    assert record(message)["verdict"]["guarded"] is (options.get("strategy") != "none")


@pytest.mark.slow
def test_past_its_timeout_an_answer_is_what_was_shown_and_says_cancelled() -> None:
    gate = threading.Event()
    rail = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", 3): gate}))
    message = ChatIGGuardrail(guardrail=rail, seed=7).invoke("why?", timeout=1.0)
    gate.set()
    assert message.content == "The sky looks blue"
    assert message.response_metadata["finish_reason"] == "cancelled"
    assert record(message)["verdict"]["reason"] == "deadline"


async def test_when_the_guard_fails_the_error_carries_the_receipt() -> None:
    def broken() -> ChatIGGuardrail:
        incidents = Incidents(faults={("extend", 3): EngineError("the weights caught fire")})
        return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, incidents=incidents), seed=7)

    with pytest.raises(GenerationFailed, match="the weights caught fire") as caught:
        broken().invoke("why?")
    assert caught.value.receipt.verdict.outcome == "failed"
    assert caught.value.receipt.text == "The sky looks blue"
    with pytest.raises(GenerationFailed, match="the weights caught fire"):
        await broken().ainvoke("why?")


def test_usage_counts_what_was_read_and_what_was_shown() -> None:
    model = chat(LATE)
    message = model.invoke("why?")
    tokens = record(message)["tokens"]
    read = model.get_num_tokens_from_messages([HumanMessage("why?")])
    assert message.usage_metadata == {"input_tokens": read, "output_tokens": 8, "total_tokens": read + 8}
    assert tokens["generated"] > tokens["released"] == 8


def test_the_receipt_is_plain_values_and_names_policy_and_seed() -> None:
    found = record(chat().invoke("why?", stop=["END"]))
    assert found["sampling"]["seed"] == 7
    assert found["sampling"]["stop"] == ["END"]
    assert found["policy"]["sha256"] == compiled().sha256
    assert type(found["charges"]) is list


# ------------------------------------------------------------------------------------------------------ leaving early


@pytest.mark.parametrize("kind", [ChatIGGuardrail, GuardedChatModel, GuardRunnable])
def test_a_stream_may_be_closed_under_strict_types_too(kind: Any) -> None:
    assert get_origin(get_type_hints(kind.stream)["return"]) is Generator
    assert get_origin(get_type_hints(kind.astream)["return"]) is AsyncGenerator


def test_leaving_a_stream_frees_the_engine() -> None:
    model = chat()
    assert model.guardrail is not None
    for _ in model.stream("why?"):
        break
    assert model.guardrail.engine.live_nodes() == 0


async def test_leaving_an_async_stream_frees_the_engine() -> None:
    model = chat()
    assert model.guardrail is not None
    async with aclosing(model._astream([HumanMessage("why?")])) as chunks:
        assert (await anext(chunks)).text == "The sky looks blue"
    assert model.guardrail.engine.live_nodes() == 0


# ---------------------------------------------------------------------------------------------------------- settings


def test_without_a_seed_every_request_draws_one_that_repeats_it() -> None:
    model = ChatIGGuardrail(guardrail=tossing_guardrail(), temperature=1.0, top_p=1.0)
    first, second = model.invoke("toss"), model.invoke("toss")
    assert record(first)["sampling"]["seed"] != record(second)["sampling"]["seed"]
    assert model.invoke("toss", seed=record(first)["sampling"]["seed"]).text == first.text


def test_a_call_option_that_is_unknown_is_refused() -> None:
    with pytest.raises(RequestError, match="a call cannot set 'threshold'"):
        chat().invoke("why?", threshold=0.9)


def test_a_constructor_option_that_is_misspelt_is_refused() -> None:
    with pytest.raises(RequestError, match="no setting 'polcy'") as refused:
        ChatIGGuardrail(polcy="strict")  # type: ignore[call-arg]
    assert refused.value.fix == "did you mean 'policy'?"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top_p is 0"),
        ({"stop": [""]}, "stop is 1 strings"),
        ({"seed": -1}, "seed: Input should be greater"),
    ],
)
def test_settings_out_of_range_are_refused_when_the_model_is_made(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        ChatIGGuardrail(**settings)


def test_a_policy_value_must_be_compiled_not_made_up() -> None:
    with pytest.raises(RequestError, match="policy: "):
        ChatIGGuardrail(policy={"name": "lax", "budgets": []})  # type: ignore[arg-type]


def test_unguarded_decoding_needs_the_policys_leave() -> None:
    strict = compiled(POLITE.replace("allow_unguarded: true", "allow_unguarded: false"))
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, strict), strategy="none")
    with pytest.raises(UnguardedNotAllowed, match="policy 'polite' does not allow unguarded decoding"):
        model.invoke("why?")


@pytest.mark.parametrize("asked", [{"input": "caf\udce9"}, {"input": "why?", "stop": ["\ud800"]}])
def test_text_that_is_not_unicode_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="a text is not Unicode: it has half a character at"):
        chat().invoke(**asked)


def test_a_guardrail_brings_its_own_names() -> None:
    model = chat()
    assert (model.model, model.device, model.dtype) == ("scripted", "cpu", "float64")
    assert model.policy == compiled()
    with pytest.raises(RequestError, match="both a guardrail and another model are given"):
        chat(model="embedded")
    with pytest.raises(RequestError, match="both a guardrail and another policy are given"):
        chat(policy="strict")


def test_a_copy_shares_what_is_open() -> None:
    model = ChatIGGuardrail()
    assert copy.deepcopy(model)._opened() is model._opened()


def test_a_copy_with_another_policy_does_not_keep_the_guardrail_of_the_first() -> None:
    model = chat().model_copy(update={"policy": "strict"})
    with pytest.raises(RequestError, match="both a guardrail and another policy are given"):
        model.invoke("why?")


# ----------------------------------------------------------------------------------------------------------- opening


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models that were loaded; every name loads a scripted model."""
    from ig_guardrail.engine.loading import models

    loaded: list[str] = []

    def load(model: str, **how: str | None) -> ScriptedEngine:
        loaded.append(model)
        engine = scripted_guardrail({(0, 0): CALM}).engine
        assert isinstance(engine, ScriptedEngine)
        return engine

    monkeypatch.setattr(models, "load_engine", load)
    return loaded


def test_making_a_model_loads_nothing_and_the_first_call_loads_once(loads: list[str]) -> None:
    model = ChatIGGuardrail(policy=compiled(), seed=7)
    assert loads == []
    assert model.invoke("why?").text == model.invoke("why?").text == CALM
    assert loads == ["embedded"]


async def test_the_first_async_call_loads_once_for_all_that_wait(loads: list[str]) -> None:
    model = ChatIGGuardrail(policy=compiled(), seed=7)
    answers = await model.abatch(["why?"] * 5)
    assert [answer.text for answer in answers] == [CALM] * 5
    assert loads == ["embedded"]


def test_a_policy_that_was_changed_is_used_from_the_next_call_on(loads: list[str]) -> None:
    model = ChatIGGuardrail(policy=compiled(), seed=7)
    model.invoke("why?")
    model.policy = compiled(POLITE.replace("1.0.0", "1.1.0"))
    assert record(model.invoke("why?"))["policy"]["version"] == "1.1.0"
    assert len(loads) == 2


def test_a_policy_that_is_missing_or_broken_is_told_at_the_first_call() -> None:
    with pytest.raises(PolicyError, match="did you mean `default`"):
        ChatIGGuardrail(policy="defualt").invoke("why?")


def test_a_model_that_is_missing_is_told_at_the_first_call() -> None:
    with pytest.raises(ModelError, match=r"there is no folder '\./no/such/folder'"):
        ChatIGGuardrail(model="./no/such/folder", policy=compiled()).invoke("why?")


# ---------------------------------------------------------------------------------------------------------- counting


def test_tokens_are_counted_by_the_models_own_tokenizer() -> None:
    model = chat()
    assert model.get_num_tokens(CALM) == len(CALM.split())
    assert model.get_num_tokens("") == 0
    assert tuple(model.get_token_ids(CALM)) == Continuations({(0, 0): CALM}).vocabulary.ids(CALM)


def test_messages_are_counted_as_the_model_reads_them() -> None:
    model = chat()
    messages = [SystemMessage("The sky"), HumanMessage("looks blue")]
    usage = model.invoke(messages).usage_metadata
    assert usage is not None
    assert model.get_num_tokens_from_messages(messages) == usage["input_tokens"]


def test_an_empty_conversation_has_no_tokens() -> None:
    model = chat()
    assert model.get_num_tokens_from_messages([]) == 0
    assert trim_messages([HumanMessage("a b c")], max_tokens=1, token_counter=model, allow_partial=True) == []
    assert trim_messages([], max_tokens=1, token_counter=model) == []


# ----------------------------------------------------------------------------------------------------------- tracing


def test_traces_name_model_sampling_and_all_stop_strings() -> None:
    model = chat(stop=["END"], temperature=0.5, max_tokens=9)
    params = model._get_ls_params(stop=["\n"], temperature=0)
    assert params == {
        "ls_provider": "ig-guardrail",
        "ls_model_type": "chat",
        "ls_model_name": "scripted",
        "ls_temperature": 0,
        "ls_max_tokens": 9,
        "ls_stop": ["END", "\n"],
    }


def test_its_identity_names_the_policy_by_hash() -> None:
    params = chat()._identifying_params
    assert params["policy_sha256"] == compiled().sha256
    assert (params["model"], params["seed"], params["strategy"]) == ("scripted", 7, None)
