"""Guards in a chain: text goes on as soon as it was paid for, nothing behind a denial does, and nothing is lost."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import BaseTracer, Run

from ig_guardrail import AnswerRefused, GenerationFailed, GuardInput, GuardRunnable
from ig_guardrail.engine.scripted.script import words
from ig_guardrail.errors import ModelError, RequestError
from tests.examples import examples
from tests.golden.conversations import CALM, LATE, POLITE, RUDE, compiled, without_substitutes
from tests.unit.langchain.teller import call_part, last_part, teller

REFUSAL, CLOSING = "I would rather not say that.", "I stop here."
SHOWN = "The sky looks blue because the air scatters"
GUARD = GuardRunnable(compiled())


class Upstream:
    """Text in parts; how far it was pulled, and whether it was closed."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts
        self.pulled = 0
        self.closed = False

    def __iter__(self) -> Iterator[Any]:
        try:
            for part in self.parts:
                self.pulled += 1
                yield part
        finally:
            self.closed = True

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            for part in self.parts:
                self.pulled += 1
                await asyncio.sleep(0)
                yield part
        finally:
            self.closed = True


def guarded(*parts: Any, guard: GuardRunnable = GUARD) -> list[Any]:
    return list(guard.transform(iter(parts)))


def folded(chunks: list[Any]) -> AIMessageChunk:
    first, *rest = chunks
    whole: AIMessageChunk = sum(rest, first)
    return whole


def record(message: AIMessage) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["ig_guardrail"]
    return found


# ---------------------------------------------------------------------------------------------------- what comes out


async def test_harmless_text_comes_out_as_it_went_in() -> None:
    assert "".join(guarded(*words(CALM))) == GUARD.invoke(CALM) == await GUARD.ainvoke(CALM) == CALM
    assert guarded() == []
    assert GUARD.invoke("") == ""


def test_text_behind_a_denial_is_replaced_by_the_closing_message() -> None:
    assert "".join(guarded(*words(LATE))) == f"{SHOWN}\n\n{CLOSING}"
    assert "".join(guarded(*words(RUDE))) == REFUSAL
    assert GuardRunnable(compiled(), language="de").invoke(RUDE) == "Das möchte ich nicht sagen."


async def test_or_by_an_error() -> None:
    guard = GuardRunnable(compiled(), on_refusal="raise")
    shown: list[Any] = []
    with pytest.raises(AnswerRefused):
        shown.extend(piece for piece in guard.transform(iter(words(LATE))))
    with closing(guard.transform(iter(words(LATE)))) as pieces:
        assert next(pieces) == "The sky looks blue"
    with pytest.raises(AnswerRefused):
        await guard.ainvoke(RUDE)


def test_messages_come_out_as_messages_with_a_receipt() -> None:
    answer = GUARD.invoke(AIMessage(LATE))
    assert isinstance(answer, AIMessage)
    assert answer.text == f"{SHOWN}\n\n{CLOSING}"
    assert answer.response_metadata["finish_reason"] == "content_filter"
    assert record(answer)["search"]["strategy"] == "cut"
    chunks = guarded(*(AIMessageChunk(word) for word in words(CALM)), last_part("length"))
    whole = folded(chunks)
    assert (whole.text, whole.response_metadata["finish_reason"]) == (CALM, "length")
    assert whole.usage_metadata == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}


def test_calls_are_judged_and_pass_whole() -> None:
    guard = GuardRunnable(compiled(POLITE + 'tools: {deny: ["delete_*"]}\n'))
    (call,) = folded(guarded(AIMessageChunk(CALM), call_part("read_file", "{}", "1"), guard=guard)).tool_calls
    assert (call["name"], call["id"]) == ("read_file", "1")
    refused = folded(guarded(call_part("delete_file", "{}", "1"), guard=guard))
    assert (refused.text, refused.tool_calls) == (REFUSAL, [])


def test_what_is_no_text_does_not_pass() -> None:
    with pytest.raises(GenerationFailed, match="the answer holds dict, which is not text"):
        guarded(CALM, {"answer": CALM})


def test_a_cost_model_that_fails_lets_nothing_pass() -> None:
    with pytest.raises(GenerationFailed):
        guarded("half a character \ud800 is no text")


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.sampled_from([CALM, LATE, RUDE, "a" * 40 + " b" * 30, "你好" * 30 + " blockhead"]))
def test_how_the_text_is_cut_into_chunks_changes_nothing(data: st.DataObject, text: str) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)))
    parts = [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, cut = (folded(guarded(*map(AIMessageChunk, chunks))) for chunks in ([text], parts))
    assert cut.text == whole.text == "".join(guarded(*parts))
    assert record(cut)["charges"] == record(whole)["charges"]
    assert record(cut)["blocks"] == record(whole)["blocks"]


# --------------------------------------------------------------------------------------------------------- streaming


def test_text_goes_on_while_upstream_still_speaks() -> None:
    upstream = Upstream(*words(CALM))
    with closing(GUARD.transform(iter(upstream))) as pieces:
        assert next(pieces) == "The sky looks blue"
        assert upstream.pulled == 9  # two blocks of four, and what ends the last word of them
        assert not upstream.closed
    assert upstream.closed
    assert upstream.pulled == 9


async def test_the_same_awaited() -> None:
    upstream = Upstream(*words(CALM))
    async with aclosing(GUARD.atransform(aiter(upstream))) as pieces:
        assert await anext(pieces) == "The sky looks blue"
        assert upstream.pulled == 9
        for _ in range(5):
            await asyncio.sleep(0)
        assert (upstream.pulled, upstream.closed) == (9, False)
    assert upstream.closed


def test_upstream_is_closed_where_the_policy_denies() -> None:
    upstream = Upstream(*words(RUDE), *["more "] * 100)
    assert list(GUARD.transform(iter(upstream))) == [REFUSAL]
    assert upstream.closed
    assert upstream.pulled < 20


async def test_cancelling_closes_upstream() -> None:
    silent = asyncio.Event()
    closed = asyncio.Event()

    async def upstream() -> AsyncIterator[str]:
        try:
            for word in words(CALM)[:3]:
                yield word
            silent.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def read() -> list[Any]:
        return [piece async for piece in GUARD.atransform(upstream())]

    task = asyncio.create_task(read())
    await silent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(closed.wait(), 20)


@pytest.mark.parametrize("told", [CALM, LATE])
async def test_it_works_at_the_end_of_a_chain(told: str) -> None:
    model = teller(told)
    chain = ChatPromptTemplate.from_template("{question}") | model | StrOutputParser() | GUARD
    expected = CALM if told == CALM else f"{SHOWN}\n\n{CLOSING}"
    stream = chain.stream({"question": "why?"})
    first = next(stream)
    assert (first, model.log.pulled <= 10) == ("The sky looks blue", True)
    assert first + "".join(stream) == expected
    assert "".join([piece async for piece in chain.astream({"question": "why?"})]) == expected
    assert chain.invoke({"question": "why?"}) == expected
    assert chain.batch([{"question": "why?"}] * 3) == [expected] * 3
    assert await chain.abatch([{"question": "why?"}] * 3) == [expected] * 3


def test_behind_a_model_it_passes_messages() -> None:
    chunks = list((teller(CALM) | GUARD).stream("why?"))
    assert len(chunks) > 3
    assert folded(chunks).text == CALM


async def test_errors_of_the_chain_are_raised_as_they_are() -> None:
    chain = teller([*words(CALM), ValueError("down")]) | StrOutputParser() | GUARD
    with pytest.raises(ValueError, match="down"):
        list(chain.stream("why?"))
    with pytest.raises(ValueError, match="down"):
        [piece async for piece in chain.astream("why?")]


# ------------------------------------------------------------------------------------------------------------ policy


def test_a_policy_of_hidden_states_is_refused() -> None:
    with pytest.raises(ModelError, match="reads hidden states"):
        GuardRunnable(compiled(without_substitutes("default")))


def test_the_thread_of_the_config_is_the_conversation(tmp_path: Path) -> None:
    drip = POLITE.replace("budget: 0.0, every: 4}", "budget: 0.6, every: 4, scope: conversation}")
    guard = GuardRunnable(compiled(drip), ledger=tmp_path / "ledger.db")
    said, thread = "blockhead once and no more", {"configurable": {"thread_id": "c"}}
    assert [guard.invoke(said, thread), guard.invoke(said, thread)] == [said, REFUSAL]  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="no conversation is named"):
        guard.invoke(said)


# ------------------------------------------------------------------------------------------------------------- input


@pytest.mark.parametrize(
    "harmless",
    ["why?", HumanMessage("why?"), [SystemMessage("No blockhead here."), HumanMessage("why?")], []],
)
async def test_harmless_input_passes_as_it_is(harmless: Any) -> None:
    guard = GuardInput(compiled())
    assert guard.invoke(harmless) is harmless
    assert await guard.ainvoke(harmless) is harmless


@pytest.mark.parametrize(
    "asked",
    [
        "You blockhead.",
        HumanMessage("You blockhead."),
        [HumanMessage("You blockhead.")],
        [("system", "Be kind."), ("human", "You blockhead.")],
        [{"role": "user", "content": "You blockhead."}],
        ("You blockhead.",),
    ],
)
async def test_input_that_the_policy_refuses_does_not_pass(asked: Any) -> None:
    with pytest.raises(AnswerRefused):
        GuardInput(compiled()).invoke(asked)
    with pytest.raises(AnswerRefused):
        await GuardInput(compiled()).ainvoke(asked)


def test_refused_input_never_reaches_the_model() -> None:
    model = teller(CALM)
    chain = ChatPromptTemplate.from_template("{question}") | GuardInput(compiled()) | model
    assert chain.invoke({"question": "why?"}).text == CALM
    with pytest.raises(AnswerRefused):
        chain.invoke({"question": "blockhead?"})
    assert len(model.log.calls) == 1


def test_input_that_is_no_text_is_refused() -> None:
    with pytest.raises(RequestError, match="the input is a dict"):
        GuardInput(compiled()).invoke({"question": "why?"})
    for odd in ([1], [{"question": "why?"}], [("nobody", "why?")], [None]):
        with pytest.raises(RequestError, match="the input is a list"):
            GuardInput(compiled()).invoke(odd)


def test_what_chat_models_take_for_messages_goes_on_as_it_is() -> None:
    asked = [("system", "Be kind."), {"role": "user", "content": "why?"}]
    assert GuardInput(compiled()).invoke(asked) is asked
    assert (GuardInput(compiled()) | teller(CALM)).invoke(asked).text == CALM


def test_a_policy_that_refuses_no_input_cannot_guard_it() -> None:
    with pytest.raises(RequestError, match="policy 'polite' refuses no input"):
        GuardInput(compiled(POLITE.replace("on_exceed: refuse", "on_exceed: observe")))


# ---------------------------------------------------------------------------------------------------------------- runs


class Steps(BaseTracer):
    """The runs of a chain's steps."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)
        self.runs += run.child_runs


async def steps_of(chain: Any, asked: Any, awaited: bool, streamed: bool) -> list[tuple[str, Any, str | None]]:
    """Name, output and error of each, by when they began."""
    steps = Steps()
    config: Any = {"callbacks": [steps]}
    with suppress(AnswerRefused):
        if streamed:
            [one async for one in chain.astream(asked, config)] if awaited else list(chain.stream(asked, config))
        else:
            await chain.ainvoke(asked, config) if awaited else chain.invoke(asked, config)
    runs = sorted(steps.runs, key=lambda run: run.start_time)
    return [(run.name, (run.outputs or {}).get("output"), run.error) for run in runs]


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
async def test_guards_are_runs_of_their_own_that_tell_what_goes_out(awaited: bool, streamed: bool) -> None:
    chain = GuardInput(compiled()) | teller(LATE) | StrOutputParser() | GUARD.with_config(run_name="last")
    before, _, parser, last = await steps_of(chain, "why?", awaited, streamed)
    assert (before[0], parser[0], last[0]) == ("GuardInput", "StrOutputParser", "last")
    assert last[1:] == (SHOWN + "\n\n" + CLOSING, None)
    assert "blockhead" not in repr(last)
    (refused,) = await steps_of(GuardInput(compiled()) | teller(CALM), "you blockhead", awaited, streamed)
    assert refused[0] == "GuardInput"
    assert refused[2].startswith("AnswerRefused")
    raising = teller(RUDE) | StrOutputParser() | GuardRunnable(compiled(), on_refusal="raise")
    assert "AnswerRefused" in (await steps_of(raising, "why?", awaited, streamed))[-1][2]


async def test_event_streams_have_what_was_let_out() -> None:
    chain = teller(LATE) | StrOutputParser() | GUARD
    events = [event async for event in chain.astream_events("why?", include_names=["GuardRunnable"])]
    assert [event["event"] for event in (events[0], events[-1])] == ["on_chain_start", "on_chain_end"]
    told = "".join(event["data"]["chunk"] for event in events[1:-1])
    assert told == events[-1]["data"]["output"] == SHOWN + "\n\n" + CLOSING


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_run_that_is_left_early_ends(awaited: bool) -> None:
    steps = Steps()
    config: Any = {"callbacks": [steps]}
    if awaited:
        async with aclosing(GUARD.astream(CALM, config)) as awaited_pieces:
            first = await anext(awaited_pieces)
    else:
        with closing(GUARD.transform(iter([CALM]), config)) as pieces:
            first = next(pieces)
    assert [(run.name, run.outputs) for run in steps.roots] == [("GuardRunnable", {"output": first})]


async def test_leaving_a_chain_early_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    async for _ in (RunnableLambda(lambda text: text) | GUARD).astream(CALM):
        break
    gc.collect()
    await asyncio.get_running_loop().shutdown_asyncgens()
    assert not caplog.records
