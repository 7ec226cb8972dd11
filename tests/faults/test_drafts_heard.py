"""A draft that was not judged reaches no handler of the surroundings, and no cache of the model that wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.globals import set_debug, set_llm_cache, set_verbose
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.tracers import context as tracers
from langchain_core.tracers.context import collect_runs, register_configure_hook
from langchain_core.utils.function_calling import convert_to_openai_tool

from ig_guardrail import GuardedChatModel, GuardRunnable
from tests.golden.conversations import CALM, KIND, POLITE, RUDE, compiled
from tests.unit.langchain.teller import Teller, last_part, teller

REFUSAL = "I would rather not say that."
WHOLE = compiled(POLITE.replace("hold: 4", "hold: 100"))


class Hearing(BaseCallbackHandler):
    """Notes all that any model says."""

    heard: list[str] = []  # noqa: RUF012  # of all instances, since the environment makes one for each run

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.heard.append(str(token))

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.heard.append(repr(response))

    def on_llm_error(self, error: Any, **rest: Any) -> None:
        self.heard.append(repr((error, rest)))


by_variable: ContextVar[Hearing | None] = ContextVar("by_variable", default=None)
by_environment: ContextVar[Hearing | None] = ContextVar("by_environment", default=None)


@pytest.fixture(autouse=True)
def _hooks() -> Iterator[None]:
    """Two handlers as a program registers them; taken out again."""
    before = [*tracers._configure_hooks]
    register_configure_hook(by_variable, inheritable=True)
    register_configure_hook(by_environment, True, Hearing, "HEARING")
    yield
    tracers._configure_hooks[:] = before


class Plain(BaseChatModel):
    """A model that does not stream; `asked` counts."""

    answers: list[str]
    asked: int = 0

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        self.asked += 1
        text = self.answers[min(self.asked, len(self.answers)) - 1]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools], **kwargs)


class Relaying(Plain):
    """A model that asks another one, without a config, in the midst of its own answer."""

    other: BaseChatModel

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        asked = RunnableLambda(lambda given: self.other.invoke(given)).invoke(messages)
        return ChatResult(generations=[ChatGeneration(message=asked)])


@tool
def look(name: str) -> str:
    """Look something up."""
    return name


INNER: dict[str, Callable[[], BaseChatModel]] = {
    "streams": lambda: teller(RUDE),
    "in one piece": lambda: Plain(answers=[RUDE]),
    "told not to stream": lambda: teller(RUDE, disable_streaming=True),
    "fails late": lambda: teller([*RUDE.split(" "), ValueError("gone")]),
    "asks another": lambda: Relaying(answers=[], other=teller(RUDE)),
    "asks another of one piece": lambda: Relaying(answers=[], other=Plain(answers=[RUDE])),
}


async def ask_all_ways(model: Any) -> list[str]:
    """What is said by each way of asking; errors of the other model are expected."""
    said = []
    for way in (
        lambda: model.invoke("hi"),
        lambda: list(model.stream("hi")),
        lambda: model.batch(["hi", "ho"]),
    ):
        said.append(_tried(way))
    try:
        said.append(repr(await model.ainvoke("hi")))
        said.append(repr([chunk async for chunk in model.astream("hi")]))
    except ValueError as error:
        said.append(repr(error))
    return said


def _tried(way: Callable[[], Any]) -> str:
    try:
        return repr(way())
    except ValueError as error:
        return repr(error)


@contextmanager
def collected() -> Iterator[Callable[[], str]]:
    with collect_runs() as runs:
        yield lambda: json.dumps([[run.outputs, run.error] for run in runs.traced_runs], default=str)


@contextmanager
def in_a_variable() -> Iterator[Callable[[], str]]:
    Hearing.heard.clear()
    token = by_variable.set(Hearing())
    yield lambda: repr(Hearing.heard)
    by_variable.reset(token)


@contextmanager
def in_the_environment() -> Iterator[Callable[[], str]]:
    Hearing.heard.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARING", "true")
        yield lambda: repr(Hearing.heard)


@contextmanager
def traced() -> Iterator[Callable[[], str]]:
    """LangSmith, as environment variables switch it on, with a client that sends nothing."""
    from langsmith import Client, tracing_context

    sent: list[Any] = []

    class Kept(Client):
        def create_run(self, *args: Any, **kwargs: Any) -> None:
            sent.append([args, kwargs])

        def update_run(self, *args: Any, **kwargs: Any) -> None:
            sent.append([args, kwargs])

    with pytest.MonkeyPatch.context() as patch:
        for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
            patch.setenv(name, "true")
        patch.setenv("LANGSMITH_API_KEY", "none")
        client = Kept(api_url="http://127.0.0.1:9", api_key="none", auto_batch_tracing=False, info={})
        with tracing_context(enabled=True, client=client):
            yield lambda: json.dumps(sent, default=str)


@contextmanager
def debugged() -> Iterator[Callable[[], str]]:
    set_debug(True)
    yield lambda: ""
    set_debug(False)


@contextmanager
def verbose() -> Iterator[Callable[[], str]]:
    set_verbose(True)
    yield lambda: ""
    set_verbose(False)


AROUND = [collected, in_a_variable, in_the_environment, traced, debugged, verbose]


@pytest.mark.parametrize("around", AROUND, ids=lambda one: one.__name__)
@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize(
    "policy", [pytest.param(compiled(), id="in blocks"), pytest.param(WHOLE, id="whole", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("tools", [False, True], ids=["words", "tools"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_no_handler_of_the_surroundings_hears_a_draft(
    around: Any, inner: str, policy: Any, tools: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with around() as told:
        guarded = GuardedChatModel(inner=INNER[inner](), policy=policy)
        said = await ask_all_ways(guarded.bind_tools([look]) if tools and inner[0] != "a" else guarded)
        heard = told()
    printed = capsys.readouterr()
    assert "blockhead" not in repr(said) + heard + printed.out + printed.err
    if inner != "fails late" and around is not verbose:
        assert "I would rather not" in heard + printed.out  # they do hear what is let out


def test_handlers_of_the_other_model_itself_still_hear_it() -> None:
    for inner in (teller(RUDE), Plain(answers=[RUDE])):
        Hearing.heard.clear()
        inner.callbacks = [Hearing()]
        GuardedChatModel(inner=inner, policy=compiled()).invoke("hi")
        assert "blockhead" in repr(Hearing.heard)


@pytest.fixture(name="cache")
def _cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("tools", [False, True])
async def test_a_draft_is_kept_in_no_cache(cache: InMemoryCache, awaited: bool, tools: bool) -> None:
    own = InMemoryCache()
    for inner in (Plain(answers=[RUDE, KIND]), Plain(answers=[RUDE, KIND], cache=own)):
        model = GuardedChatModel(inner=inner, policy=WHOLE, cache=False)
        asked = model.bind_tools([look]) if tools else model
        answer = await asked.ainvoke("hi") if awaited else asked.invoke("hi")
        assert (answer.text, inner.asked) == (KIND, 2)
        assert "blockhead" not in repr(cache._cache) + repr(own._cache)


def test_models_that_count_their_answers_go_on_counting(cache: InMemoryCache) -> None:
    inner = FakeMessagesListChatModel(responses=[AIMessage(RUDE), AIMessage(KIND), AIMessage(CALM)])
    assert GuardedChatModel(inner=inner, policy=WHOLE).invoke("hi").text == KIND
    assert inner.i == 2


@pytest.mark.parametrize("awaited", [False, True])
async def test_an_answer_that_the_other_models_cache_knows_is_judged_and_given(
    cache: InMemoryCache, awaited: bool
) -> None:
    known = Plain(answers=[CALM])
    known.invoke("why?")
    model = GuardedChatModel(inner=known, policy=compiled(), cache=False)
    answer = await model.ainvoke("why?") if awaited else model.invoke("why?")
    assert (answer.text, answer.usage_metadata, known.asked) == (CALM, None, 1)

    bad = Plain(answers=[RUDE, KIND], tags=["other"])
    bad.invoke("hi")
    model = GuardedChatModel(inner=bad, policy=WHOLE, cache=False)
    answer = await model.ainvoke("hi") if awaited else model.invoke("hi")
    assert answer.text in (KIND, CALM)
    assert "blockhead" not in answer.text


def test_a_cached_answer_passes_a_guard_in_a_chain(cache: InMemoryCache) -> None:
    chain = Plain(answers=[CALM]) | GuardRunnable(compiled())
    assert [chain.invoke("why?").text for _ in range(2)] == [CALM] * 2


def test_a_model_that_streams_is_not_asked_in_one_piece() -> None:
    inner: Teller = teller(CALM)
    assert [chunk.text for chunk in GuardedChatModel(inner=inner, policy=compiled()).stream("why?")][:1] != [CALM]


def test_tokens_of_all_attempts_are_counted_once() -> None:
    with get_usage_metadata_callback() as counted:
        answers = ([RUDE, last_part()], [KIND, last_part()])
        GuardedChatModel(inner=teller(*answers), policy=WHOLE).invoke("hi")
    assert [usage["total_tokens"] for usage in counted.usage_metadata.values()] == [8]  # the first was closed early
