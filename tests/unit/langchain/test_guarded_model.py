"""A policy around another chat model: nothing is shown unjudged, and what may not be shown is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel

from ig_guardrail import AnswerRefused, GenerationFailed, GuardedChatModel
from ig_guardrail.engine.scripted.script import words
from ig_guardrail.errors import ModelError, RequestError
from tests.golden.conversations import CALM, KIND, LATE, POLITE, RUDE, compiled, without_substitutes
from tests.unit.langchain.teller import FOREVER, Teller, call_part, last_part, teller

REFUSAL, CLOSING = "I would rather not say that.", "I stop here."
RULES = POLITE + 'tools: {deny: ["delete_*"]}\n'
WHOLE = POLITE.replace("hold: 4", "hold: 100")


@tool
def read_file(name: str) -> str:
    """Read a file."""
    return name


@tool
def delete_file(name: str) -> str:
    """Delete a file."""
    return name


class Reply(BaseModel):
    """A reply."""

    text: str


def guarded(*answers: Any, policy: str = POLITE, **settings: Any) -> GuardedChatModel:
    return GuardedChatModel(inner=teller(*answers), policy=compiled(policy), **settings)


def told(model: GuardedChatModel) -> Teller:
    assert isinstance(model.inner, Teller)
    return model.inner


def record(message: AIMessage) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["ig_guardrail"]
    return found


def folded(chunks: Iterable[Any]) -> AIMessageChunk:
    first, *rest = chunks
    whole: AIMessageChunk = sum(rest, first)
    return whole


async def closing_of(inner: Teller) -> None:
    """LangChain leaves it to the event loop to close what it iterates over."""
    async with asyncio.timeout(20):
        while not inner.log.closed.is_set():
            await asyncio.sleep(0)


# ---------------------------------------------------------------------------------------------------------- outcomes


async def test_a_harmless_answer_passes_by_all_four_ways() -> None:
    model = guarded(CALM)
    texts = [
        model.invoke("why?").text,
        "".join(chunk.text for chunk in model.stream("why?")),
        (await model.ainvoke("why?")).text,
        "".join([chunk.text async for chunk in model.astream("why?")]),
    ]
    assert texts == [CALM] * 4


async def test_an_answer_that_may_not_be_shown_gives_way_to_another() -> None:
    for answer in (guarded(RUDE, KIND).invoke("hi"), await guarded(RUDE, KIND).ainvoke("hi")):
        assert answer.text == KIND
        assert answer.response_metadata["finish_reason"] == "stop"
        assert record(answer)["forwards"] == 2
        assert record(answer)["tokens"]["discarded"] > 0


def test_where_every_answer_is_denied_it_is_refused() -> None:
    model = guarded(RUDE)
    answer = model.invoke("hi")
    assert (answer.text, answer.response_metadata["finish_reason"]) == (REFUSAL, "content_filter")
    assert len(told(model).log.calls) == 2
    assert [block["type"] for block in answer.content_blocks] == ["refusal"]


def test_once_something_was_shown_no_other_answer_is_asked_for() -> None:
    model = guarded(LATE, KIND)
    answer = model.invoke("why?")
    assert answer.text == f"The sky looks blue because the air scatters\n\n{CLOSING}"
    assert len(told(model).log.calls) == 1


def test_what_the_policy_holds_can_still_be_replaced() -> None:
    model = guarded(LATE, KIND, policy=WHOLE)
    assert model.invoke("why?").text == KIND
    assert len(told(model).log.calls) == 2


@pytest.mark.parametrize(
    "policy",
    [POLITE + "output: {on_exceed: [end]}\n", POLITE.replace("search: {", "search: {strategy: cut, ")],
)
def test_a_policy_that_cuts_asks_once(policy: str) -> None:
    model = guarded(RUDE, KIND, policy=policy)
    assert model.invoke("hi").text == REFUSAL
    assert len(told(model).log.calls) == 1


def test_an_input_that_the_policy_refuses_never_reaches_the_model() -> None:
    model = guarded(CALM)
    assert model.invoke("Say something, blockhead.").text == REFUSAL
    assert told(model).log.calls == []


def test_no_piece_of_a_stream_has_what_was_denied() -> None:
    for parts in ([*words(LATE)], [LATE], [*LATE]):
        assert all("blockhead" not in chunk.text for chunk in guarded(parts).stream("why?"))


def test_a_long_answer_is_cut() -> None:
    answer = guarded(CALM, longest=6).invoke("why?")
    assert (answer.text, answer.response_metadata["finish_reason"]) == ("The sky looks blue because the", "length")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("SAFETY", "content_filter"),
        ("engine_overloaded", "engine_overloaded"),
        ("You are a blockhead", "unknown"),  # a text, which nothing judged
    ],
)
def test_how_the_other_model_ended_is_told(theirs: str, ours: str) -> None:
    answer = guarded([CALM, last_part(theirs)]).invoke("why?")
    assert (answer.text, answer.response_metadata["finish_reason"]) == (CALM, ours)


def test_usage_is_of_all_answers_as_far_as_it_was_told() -> None:
    answer = guarded([RUDE, last_part()], [KIND, last_part()]).invoke("hi")
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 8  # the first answer was closed before it told
    assert guarded(CALM).invoke("why?").usage_metadata is None


# --------------------------------------------------------------------------------------------------------- streaming


def test_the_first_words_come_while_the_other_model_still_speaks() -> None:
    model = guarded(CALM)
    with closing(model.stream("why?")) as chunks:
        first = next(chunks)
        assert first.text == "The sky looks blue"
        assert told(model).log.pulled <= 9
        assert not told(model).log.closed.is_set()
    assert told(model).log.closed.is_set()


async def test_the_same_awaited_and_closing_closes_the_other_stream() -> None:
    model = guarded(CALM)
    async with aclosing(model.astream("why?")) as chunks:
        assert (await anext(chunks)).text == "The sky looks blue"
        pulled = told(model).log.pulled
        assert pulled <= 9
        await asyncio.sleep(0)
        assert told(model).log.pulled == pulled
    await closing_of(told(model))
    assert told(model).log.pulled == pulled


async def test_cancelling_while_the_other_model_is_silent_closes_its_stream() -> None:
    model = guarded([*words(CALM)[:3], FOREVER])
    task = asyncio.create_task(model.ainvoke("why?"))
    while told(model).log.pulled < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await closing_of(told(model))


@pytest.mark.slow
async def test_a_timeout_ends_the_wait_for_a_silent_model() -> None:
    model = guarded([*words(CALM)[:10], FOREVER], timeout=0.2)
    answer = await model.ainvoke("why?")
    assert answer.response_metadata["finish_reason"] == "cancelled"
    assert CALM.startswith(answer.text)
    await closing_of(told(model))


def test_an_answer_that_is_given_up_is_closed_at_once() -> None:
    model = guarded([*words(RUDE), *["more "] * 100], KIND)
    closed = []
    inner = told(model)
    begin = inner._begin

    def noting(options: dict[str, Any]) -> Any:
        closed.append((inner.log.closed.is_set(), inner.log.pulled))
        return begin(options)

    object.__setattr__(inner, "_begin", noting)
    assert model.invoke("hi").text == KIND
    assert closed[1][0]
    assert closed[1][1] < 20


class Listener(BaseCallbackHandler):
    """Hears what any model of a run says."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.heard.append(token)


@pytest.mark.parametrize("tools", [[], [read_file]])
async def test_handlers_of_a_run_never_hear_the_other_model(tools: list[Any]) -> None:
    model = guarded(LATE)
    bound = model.bind_tools(tools) if tools else model
    chain = ChatPromptTemplate.from_template("{q}") | bound | StrOutputParser()
    for awaited in (False, True):
        listener = Listener()
        config: Any = {"callbacks": [listener]}
        asked = {"q": "why?"}
        shown = [piece async for piece in chain.astream(asked, config)] if awaited else [*chain.stream(asked, config)]
        assert "".join(listener.heard) == "".join(shown)
        assert "blockhead" not in "".join(shown)


@pytest.mark.slow
@pytest.mark.parametrize("tools", [[], [read_file]])
async def test_no_way_of_streaming_an_agent_shows_what_was_not_let_out(tools: list[Any]) -> None:
    agent = create_agent(guarded(LATE), tools)
    asked: Any = {"messages": [HumanMessage("why?")]}
    streamed = list(agent.stream(asked, stream_mode=["messages", "updates", "values"]))
    streamed += [event async for event in agent.astream_events(asked, version="v2")]  # type: ignore[arg-type]
    assert "The sky looks blue" in repr(streamed)
    assert "blockhead" not in repr(streamed)


async def test_event_streams_hear_only_what_was_let_out() -> None:
    events = [event async for event in guarded(LATE).astream_events("why?", version="v2")]
    assert "blockhead" not in repr(events)
    assert any(event["event"] == "on_chat_model_stream" for event in events)


# ------------------------------------------------------------------------------------------------- options and errors


def test_options_of_a_call_are_the_other_models() -> None:
    model = guarded(CALM)
    model.invoke("why?", temperature=0.2, stop=["waves"], language="de")
    assert told(model).log.calls == [{"temperature": 0.2, "stop": ["waves"]}]


def test_stop_strings_hold_although_the_other_model_ignores_them() -> None:
    assert guarded(CALM).invoke("why?", stop=[" because"]).text == "The sky looks blue"


def test_a_policy_of_hidden_states_is_refused_when_the_model_is_made() -> None:
    with pytest.raises(ModelError, match=r"budget '[\w-]+' reads hidden states, and this model is only read as text"):
        GuardedChatModel(inner=teller(CALM), policy=compiled(without_substitutes("default")))


@pytest.mark.slow
def test_the_default_policy_is_kept_by_what_reads_text() -> None:
    answer = GuardedChatModel(inner=teller(CALM), policy="default").invoke("why?")
    assert answer.text == CALM
    assert record(answer)["substitutes"] == {"help": "help-text", "tone": "tone-text"}


@pytest.mark.parametrize("theirs", [ValueError("no such model"), TimeoutError("too slow")])
async def test_errors_of_the_other_model_are_raised_as_they_are(theirs: Exception) -> None:
    model = guarded([*words(CALM)[:9], theirs])
    with pytest.raises(type(theirs), match=str(theirs)):
        model.invoke("why?")
    with pytest.raises(type(theirs), match=str(theirs)):
        await model.ainvoke("why?")


def test_fallbacks_see_them() -> None:
    chain = guarded([ValueError("down")]).with_fallbacks([guarded(CALM)])
    assert chain.invoke("why?").text == CALM


async def test_what_is_not_text_fails_the_answer() -> None:
    image = AIMessageChunk(content=[{"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}])
    for asked in (lambda m: m.invoke("draw"), lambda m: m.stream("draw").__next__()):
        with pytest.raises(GenerationFailed, match="a content block of type 'image', which is not text"):
            asked(guarded([image]))
    with pytest.raises(GenerationFailed) as failed:
        await guarded([*words(CALM), image]).ainvoke("draw")
    assert failed.value.receipt.verdict.outcome == "failed"


def test_text_blocks_are_judged_and_thoughts_are_left_out() -> None:
    thought = AIMessageChunk(content=[{"type": "reasoning", "reasoning": "blockhead"}])
    said = AIMessageChunk(content=[{"type": "text", "text": CALM}])
    assert guarded([thought, said]).invoke("why?").text == CALM
    assert guarded([AIMessageChunk(content=[{"type": "text", "text": RUDE}])]).invoke("hi").text == REFUSAL


@pytest.mark.parametrize("quotes", [{"annotations": [{"type": "url_citation"}]}, {"citations": [{"cited_text": RUDE}]}])
def test_quotations_that_come_behind_the_words_are_left_out_as_those_beside_them(quotes: dict[str, Any]) -> None:
    beside = AIMessageChunk(content=[{"type": "text", "text": CALM, **quotes}])
    behind = [
        AIMessageChunk(content=[{"type": "text", "text": CALM}]),
        AIMessageChunk(content=[{"type": "text", **quotes}]),
    ]
    assert guarded([beside]).invoke("why?").content == guarded(behind).invoke("why?").content == CALM


def test_a_cost_model_that_fails_shows_nothing() -> None:
    model = guarded("half a character \ud800 is no text")
    with pytest.raises(GenerationFailed):
        model.invoke("why?")


# -------------------------------------------------------------------------------------------------------------- tools


def calling(name: str, id: str = "their-1") -> list[Any]:
    """A call as hosts stream it: its name, then its arguments in pieces."""
    return [call_part(name, "", id), call_part(None, '{"na'), call_part(None, 'me": "a"}')]


async def test_a_call_comes_whole_and_with_its_id() -> None:
    model = guarded([*words(CALM), *calling("read_file")], policy=RULES).bind_tools([read_file])
    chunks = list(model.stream("Read it."))
    (with_call,) = [chunk for chunk in chunks if chunk.tool_call_chunks]
    assert with_call.tool_call_chunks[0]["args"] == '{"name": "a"}'
    for whole in (folded(chunks), await model.ainvoke("Read it.")):
        (call,) = whole.tool_calls
        assert (call["name"], call["args"], call["id"]) == ("read_file", {"name": "a"}, "their-1")
        assert (whole.text, whole.response_metadata["finish_reason"]) == (CALM, "tool_calls")


def test_the_tools_reach_the_other_model_in_its_own_form() -> None:
    model = guarded(CALM)
    model.bind_tools([read_file], tool_choice="any").invoke("Read it.")
    (options,) = told(model).log.calls
    assert options["tools"][0]["function"]["name"] == "read_file"
    assert options["tool_choice"] == "any"


def test_a_call_that_may_not_be_made_gives_way_to_another() -> None:
    bound = guarded(calling("delete_file"), calling("read_file"), policy=RULES).bind_tools([read_file, delete_file])
    assert [call["name"] for call in bound.invoke("Clean up.").tool_calls] == ["read_file"]


def test_where_there_is_no_other_call_it_is_refused() -> None:
    answer = guarded(calling("delete_file"), policy=RULES).bind_tools([delete_file]).invoke("Clean up.")
    assert (answer.text, answer.tool_calls) == (REFUSAL, [])


def test_a_call_is_judged_although_nobody_bound_tools() -> None:
    assert guarded(calling("delete_file"), policy=RULES).invoke("Clean up.").tool_calls == []
    assert len(guarded(calling("read_file"), policy=RULES).invoke("Read it.").tool_calls) == 1


def test_words_that_look_like_a_call_are_no_call() -> None:
    imitation = '<tool_call>{"name": "read_file", "arguments": {"name": "a"}}</tool_call>'
    answer = guarded([f"Look: {imitation}"]).bind_tools([read_file]).invoke("Read it.")
    assert (answer.text, answer.tool_calls) == (f"Look: {imitation}", [])


def test_words_cannot_hide_a_call_from_its_rules() -> None:
    bound = guarded(["<tool_call> ", *calling("delete_file")], policy=RULES).bind_tools([delete_file])
    answer = bound.invoke("Clean up.")
    assert (answer.text, answer.tool_calls) == (REFUSAL, [])


@pytest.mark.parametrize("cut_off", [[call_part("read_file", "")], [call_part("read_file", '{"name": "a"')]])
def test_a_call_that_was_cut_off_is_not_made(cut_off: list[Any]) -> None:
    answer = guarded([CALM, *calling("read_file"), *_second(cut_off), last_part("length")]).invoke("Read it.")
    assert (answer.text, [call["id"] for call in answer.tool_calls]) == (CALM, ["their-1"])


def _second(parts: list[Any]) -> list[Any]:
    return [call_part(one["name"], one["args"], "their-2", 1) for part in parts for one in part.tool_call_chunks]


@pytest.mark.parametrize("args", ['{"name": "a"', '{"a": %s}' % ("[" * 100_000 + "]" * 100_000)], ids=["cut", "deep"])
def test_a_call_that_cannot_be_read_fails_the_answer(args: str) -> None:
    with pytest.raises(GenerationFailed, match="a call of 'read_file' whose arguments are no JSON object"):
        guarded([call_part("read_file", args)]).invoke("Read it.")


def test_a_model_that_does_not_stream_is_read_whole() -> None:
    spoken = GuardedChatModel(
        inner=teller([CALM, *calling("read_file")], disable_streaming=True), policy=compiled(RULES)
    )
    answer = spoken.invoke("Read it.")
    assert (answer.text, [call["id"] for call in answer.tool_calls]) == (CALM, ["their-1"])
    broken = teller([call_part("read_file", "no JSON", "1")], disable_streaming=True)
    with pytest.raises(GenerationFailed, match="whose arguments are no JSON object"):
        GuardedChatModel(inner=broken, policy=compiled()).invoke("Read it.")


def test_values_come_as_calls() -> None:
    chain = guarded([call_part("Reply", '{"text": "hello"}', "1")]).with_structured_output(Reply)
    assert chain.invoke("Greet.") == Reply(text="hello")
    refused = guarded([call_part("Reply", '{"text": "blockhead"}', "1")]).with_structured_output(Reply)
    with pytest.raises(AnswerRefused):
        refused.invoke("Greet.")


def test_a_schema_cannot_be_enforced() -> None:
    with pytest.raises(RequestError, match="method is 'json_schema'"):
        guarded(CALM).with_structured_output(Reply, method="json_schema")


# -------------------------------------------------------------------------------------------- caches, conversations


async def test_completed_answers_are_kept_and_others_are_not() -> None:
    cache = InMemoryCache()
    calm, rude = guarded(CALM, cache=cache), guarded(RUDE, cache=cache)
    for _ in range(2):
        assert (await calm.ainvoke("why?")).text == CALM
        rude.invoke("hello")
    assert len(told(calm).log.calls) == 1
    assert len(told(rude).log.calls) == 4


def test_one_cache_never_serves_an_answer_of_another_policy() -> None:
    cache = InMemoryCache()
    lax = guarded(RUDE, cache=cache, policy=POLITE.replace("threshold: 0.5, budget", "threshold: 1.0, budget"))
    assert lax.invoke("hello").text == RUDE
    assert guarded(RUDE, cache=cache).invoke("hello").text == REFUSAL


def test_another_call_is_not_served_the_answer_of_the_first() -> None:
    model = guarded(CALM, cache=InMemoryCache())
    bound = model.bind_tools([read_file])
    for one in (model, model.bind(temperature=0.1), bound, model.bind_tools([delete_file]), bound):
        one.invoke("why?")
    assert len(told(model).log.calls) == 4


def test_an_answer_is_kept_also_where_the_host_runs_the_tool() -> None:
    model = guarded(CALM, cache=InMemoryCache())
    bound = model.bind_tools([{"type": "function", "function": {"name": "f"}}])
    searching = model.bind(tools=[{"type": "web_search_20250305", "name": "web_search"}])
    for one in (bound, searching, searching, bound):
        assert one.invoke("why?").text == CALM
    assert len(told(model).log.calls) == 2


def test_answers_of_a_conversation_share_its_budget(tmp_path: Path) -> None:
    drip = POLITE.replace("budget: 0.0, every: 4}", "budget: 0.6, every: 4, scope: conversation}")
    model = guarded(["blockhead once and no more"], policy=drip, ledger=tmp_path / "ledger.db")
    first, second = (model.invoke([HumanMessage("hi")], conversation="c") for _ in range(2))
    assert [record(one)["verdict"]["outcome"] for one in (first, second)] == ["completed", "refused"]
    assert model.invoke("hi", conversation="d").text == first.text
    with pytest.raises(RequestError, match="no conversation is named"):
        model.invoke("hi")


def test_tokens_are_counted_by_the_other_model() -> None:
    inner = teller(CALM, custom_get_token_ids=lambda text: [ord(letter) for letter in text])
    assert GuardedChatModel(inner=inner, policy=compiled()).get_num_tokens("four") == 4


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_a_refusal_is_seen_in_protocol_events_too() -> None:
    message: AIMessage = guarded(RUDE, RUDE, RUDE, RUDE).stream_events("Go.", version="v3").output
    assert message.text == REFUSAL
    assert message.response_metadata["finish_reason"] == "content_filter"


def test_a_beginning_of_an_answer_is_refused() -> None:
    model = guarded(CALM)
    with pytest.raises(RequestError, match="ends with a message of the assistant"):
        model.invoke([HumanMessage("Go."), AIMessage("You")])
    assert told(model).log.calls == []


def test_an_answer_from_elsewhere_is_charged_to_the_conversation() -> None:
    shared = POLITE.replace("budget: 0.0, every: 4}", "budget: 0.6, every: 4, scope: conversation}")
    model = guarded(CALM, CALM, policy=shared)
    history = [HumanMessage("Go."), AIMessage(RUDE), HumanMessage("Go on.")]
    answer = model.invoke(history, conversation="c")
    assert record(answer)["spend"]["rudeness"]["spent"] == pytest.approx(0.5)


def test_tools_are_called_no_more_often_than_a_limit_says() -> None:
    limited = POLITE + "tools: {limits: [{id: reads, tool: read_file, calls: 1}]}\n"
    call = [call_part(name="read_file", args='{"name": "a"}', id="1"), last_part()]
    model = guarded(call, call, call, call, policy=limited).bind_tools([read_file])
    first, second = (model.invoke("Go.", conversation="c") for _ in range(2))
    assert [len(first.tool_calls), len(second.tool_calls)] == [1, 0]
    assert second.response_metadata["finish_reason"] == "content_filter"
