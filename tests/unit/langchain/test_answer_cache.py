"""Caches: an answer is kept only if it completed, and is never served under another policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage

from ig_guardrail import ChatIGGuardrail, GuardedChatModel
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.errors import RequestError
from tests.golden.conversations import CALM, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.teller import teller

LAX = POLITE.replace("threshold: 0.5, budget", "threshold: 1.0, budget")


def chat(told: str, cache: InMemoryCache | bool | None = None, policy: str = POLITE) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): told}, compiled(policy)), seed=7, cache=cache)


def answers_drawn(model: ChatIGGuardrail) -> int:
    """How many answers its engine was opened for, the start-up check left out."""
    assert model.guardrail is not None
    engine = model.guardrail.engine
    assert isinstance(engine, ScriptedEngine)
    return engine.calls("open") - 1


@pytest.fixture
def global_cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


def test_a_completed_answer_is_kept() -> None:
    model = chat(CALM, InMemoryCache())
    assert model.invoke("why?").text == model.invoke("why?").text == CALM
    assert answers_drawn(model) == 1


async def test_a_completed_answer_is_kept_on_an_event_loop_too() -> None:
    model = chat(CALM, InMemoryCache())
    await model.ainvoke("why?")
    await model.ainvoke("why?")
    assert answers_drawn(model) == 1


@pytest.mark.parametrize("changed", [{"seed": 8}, {"strategy": "cut"}, {"max_tokens": 5}, {"stop": ["looks"]}])
def test_another_call_is_not_served_the_answer_of_the_first(changed: dict[str, Any]) -> None:
    model = chat(CALM, InMemoryCache())
    model.invoke("why?")
    model.invoke("why?", **changed)
    assert answers_drawn(model) == 2


@pytest.mark.parametrize("asked", [None, True])
def test_the_global_cache_keeps_completed_answers_only(global_cache: InMemoryCache, asked: bool | None) -> None:
    calm, rude = chat(CALM, asked), chat(RUDE, asked)
    for model, prompt in ((calm, "why?"), (calm, "why?"), (rude, "how?"), (rude, "how?")):
        model.invoke(prompt)
    assert (answers_drawn(calm), answers_drawn(rude)) == (1, 2)
    assert len(global_cache._cache) == 1


def test_without_a_cache_every_call_decodes() -> None:
    model = chat(CALM)
    model.invoke("why?")
    model.invoke("why?")
    assert answers_drawn(model) == 2


def test_messages_of_another_form_are_not_taken_from_it() -> None:
    cache = InMemoryCache()
    texts, blocks = chat(CALM, cache), chat(CALM, cache)
    blocks.output_version = "v1"
    guarded = [
        GuardedChatModel(inner=teller(CALM), policy=compiled(), cache=cache, output_version=form)
        for form in (None, "v1")
    ]
    for of_texts, of_blocks in ((texts, blocks), guarded):
        for _ in range(2):
            assert of_texts.invoke("why?").content == CALM
            assert of_blocks.invoke("why?").content == [{"type": "text", "text": CALM}]


def test_an_answer_to_what_one_guard_let_pass_is_not_given_by_another() -> None:
    cache = InMemoryCache()
    lets, refuses = (
        GuardedChatModel(inner=teller(CALM), policy=compiled(), cache=cache, unjudged_blocks=kinds)
        for kinds in (["image"], [])
    )
    picture = [HumanMessage([{"type": "image", "url": "https://example.org/a.png"}])]
    assert lets.invoke(picture).text == CALM
    with pytest.raises(RequestError, match="type 'image'"):
        refuses.invoke(picture)


def test_clearing_reaches_the_cache_behind() -> None:
    cache = InMemoryCache()
    model = chat(CALM, cache)
    model.invoke("why?")
    assert model.cache is not cache
    model.cache.clear()  # type: ignore[union-attr]
    assert cache._cache == {}
