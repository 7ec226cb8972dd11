"""Among LangChain's other parts: fallbacks, alternatives, callbacks in order, rate limits, the caller's context."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableLambda

from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.errors import EngineError, GenerationFailed
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.checking.text_checks import CheckOpening, TextOpening
from ig_guardrail.search import plain
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.types import Node
from tests.golden.conversations import CALM, KIND, POLITE, compiled, scripted_guardrail

CALLER: ContextVar[str] = ContextVar("caller", default="nobody")


def chat(told: str = CALM, **settings: Any) -> ChatIGGuardrail:
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): told}), **{"seed": 7, **settings})


def failing() -> ChatIGGuardrail:
    incidents = Incidents(faults={("extend", 3): EngineError("the weights caught fire")})
    return ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, incidents=incidents), seed=7)


# ------------------------------------------------------------------------------------------ fallbacks and alternatives


async def test_another_model_answers_where_this_one_fails() -> None:
    assert failing().with_fallbacks([chat(KIND)]).invoke("Go.").content == KIND
    assert (await failing().with_fallbacks([chat(KIND)]).ainvoke("Go.")).content == KIND
    assert ChatIGGuardrail(model="./no/such").with_fallbacks([chat()]).invoke("Go.").content == CALM


async def test_a_refusal_is_an_answer_and_not_a_failure_to_fall_back_from() -> None:
    rude = chat("You are a true blockhead and I will gladly help you.")
    assert rude.with_fallbacks([chat(KIND)]).invoke("Go.").response_metadata["finish_reason"] == "content_filter"


def test_fields_may_be_configured() -> None:
    configurable = chat().configurable_fields(max_tokens=ConfigurableField("room"))
    assert configurable.with_config(configurable={"room": 2}).invoke("Go.").usage_metadata["output_tokens"] == 2
    assert configurable.invoke("Go.").content == CALM


async def test_models_may_be_alternatives_of_each_other() -> None:
    either = chat().configurable_alternatives(ConfigurableField("which"), default_key="calm", kind=chat(KIND))
    assert either.invoke("Go.").content == CALM
    chosen = either.with_config(configurable={"which": "kind"})
    assert chosen.invoke("Go.").content == KIND
    assert "".join([chunk.text async for chunk in chosen.astream("Go.")]) == KIND


# ------------------------------------------------------------------------------------------------------------ callbacks


class Log(BaseCallbackHandler):
    """What was reported, in order; tokens by their text, errors by their type."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.lines.append("start")

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.lines.append(str(token))

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.lines.append("end")

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.lines.append(type(error).__name__)


@pytest.mark.parametrize(("make", "last"), [(chat, "end"), (failing, "GenerationFailed")])
async def test_callbacks_come_in_order_and_either_an_end_or_an_error_comes_last(make: Any, last: str) -> None:
    sync, awaited = Log(), Log()
    with suppress(GenerationFailed):
        list(make().stream("why?", {"callbacks": [sync]}))
    with suppress(GenerationFailed):
        [chunk async for chunk in make().astream("why?", {"callbacks": [awaited]})]
    assert sync.lines == awaited.lines
    assert sync.lines[:2] == ["start", "The sky looks blue"]
    assert sync.lines[-1] == last
    assert not {"start", "end", "GenerationFailed"} & set(sync.lines[1:-1])


# --------------------------------------------------------------------------------------------------------- rate limits


class Turnstile(BaseRateLimiter):
    """Counts who came, and how often the engine had been asked for an answer by then."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.engine: Any = None

    def acquire(self, *, blocking: bool = True) -> bool:
        self.opened.append(self.engine.calls("open"))
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


async def test_a_rate_limiter_is_asked_once_a_request_and_before_the_engine_is() -> None:
    gate = Turnstile()
    model = chat(rate_limiter=gate)
    assert model.guardrail is not None
    gate.engine = model.guardrail.engine
    assert isinstance(gate.engine, ScriptedEngine)
    model.invoke("Go.")
    await model.ainvoke("Go.")
    list(model.stream("Go."))
    [chunk async for chunk in model.astream("Go.")]
    assert gate.opened == [0, 2, 3, 4], "the first request also has the start-up check"


def test_an_answer_from_a_cache_is_not_counted_by_a_rate_limiter() -> None:
    gate = Turnstile()
    model = chat(rate_limiter=gate, cache=InMemoryCache())
    assert model.guardrail is not None
    gate.engine = model.guardrail.engine
    assert model.invoke("Go.").content == model.invoke("Go.").content
    assert len(gate.opened) == 1


# ------------------------------------------------------------------------------------------------- the caller's context


async def test_code_that_runs_within_an_async_call_sees_the_callers_context() -> None:
    seen: list[str] = []

    def noting(root: Node, ctx: SearchContext) -> Search:
        seen.append(CALLER.get())
        return (yield from plain.search(root, ctx))

    model = chat(strategy=noting)
    CALLER.set("somebody")
    await model.ainvoke("Go.")
    [chunk async for chunk in model.astream("Go.")]
    model.invoke("Go.")
    assert seen == ["somebody"] * 3


async def test_the_thread_of_a_graph_is_the_conversation_when_awaited_too() -> None:
    shared = compiled(POLITE.replace("every: 4}", "every: 4, scope: conversation}"))
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, shared), seed=7)

    async def ask(text: str) -> Any:
        return await model.ainvoke(text)

    node = RunnableLambda(ask)
    answers = [await node.ainvoke("Go.", {"configurable": {"thread_id": name}}) for name in ("a", "a", "b")]
    assert [answer.response_metadata["ig_guardrail"]["turn"] for answer in answers] == [1, 2, 1]


# -------------------------------------------------------------------------------------------------------- stop strings


@pytest.mark.parametrize(
    ("usual", "own", "expected"),
    [
        ("waves of", "of light", "The sky looks blue because the air scatters short "),
        ("s far more", "ort wav", "The sky looks blue because the air scatters sh"),
        ("blue because the air scatters", "sky", "The "),
        ("never said", "long ones.", CALM.removesuffix("long ones.")),
    ],
)
async def test_stop_strings_of_model_and_call_both_hold_and_no_part_of_them_is_shown(
    usual: str, own: str, expected: str
) -> None:
    model = chat(stop=[usual])
    chunks = [chunk.text for chunk in model.stream("why?", stop=[own])]
    assert "".join(chunks) == expected
    assert (await model.ainvoke("why?", stop=[own])).content == expected
    shown = "".join(chunks)
    assert all(shown.startswith("".join(chunks[:count])) for count in range(len(chunks)))
    assert model.invoke("why?", stop=[own]).response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("make", [lambda: TextOpening(compiled()), lambda: CheckOpening(compiled())])
def test_what_nobody_uses_any_more_is_freed_at_once(make: Callable[[], object]) -> None:
    """Models that are configured for each call are many, and threads of their cost models live as long as they do."""
    opened = make()
    known = weakref.ref(opened)
    gc.disable()
    try:
        del opened
        assert known() is None
    finally:
        gc.enable()
