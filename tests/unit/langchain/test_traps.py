"""Twelve traps of the chat-model contract, each of which has caught somebody: one regression test or a few for each."""

from __future__ import annotations

import asyncio
import functools
import operator
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import add_ai_message_chunks
from pydantic import BaseModel

from ig_guardrail.engine.loading import models
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain import AnswerRefused, ChatIGGuardrail
from ig_guardrail.policy import load_policy
from ig_guardrail.text.calls import OPEN, format_call
from tests.golden.conversations import CALM, CONVERSATIONS, KIND, LATE, POLITE, RUDE, compiled, scripted_guardrail
from tests.unit.langchain.test_tools import DELETE, READ, RULES, TOOLS, called, pay

LAX = POLITE.replace("threshold: 0.5, budget", "threshold: 1.0, budget")
SHARED = POLITE.replace("every: 4}", "every: 4, scope: conversation}")
REFUSAL, CLOSING = "I would rather not say that.", "I stop here."

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


def chat(told: str | dict[tuple[int, int], str] = CALM, policy: str = POLITE, **settings: Any) -> ChatIGGuardrail:
    script = {(0, 0): told} if isinstance(told, str) else told
    return ChatIGGuardrail(guardrail=scripted_guardrail(script, compiled(policy)), **{"seed": 7, **settings})


def engine_of(model: ChatIGGuardrail) -> ScriptedEngine:
    assert model.guardrail is not None
    engine = model.guardrail.engine
    assert isinstance(engine, ScriptedEngine)
    return engine


def folded(chunks: Any) -> AIMessageChunk:
    whole: AIMessageChunk = functools.reduce(operator.add, list(chunks))
    return whole


class Reply(BaseModel):
    """A reply."""

    text: str


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was read and loaded by name, in order: every policy is compiled anew, every model is scripted and rude."""
    log: list[str] = []

    def load(model: str, **how: str) -> ScriptedEngine:
        log.append(f"model {model}")
        return engine_of(chat(RUDE))

    def read(policy: Any) -> Any:
        log.append("policy")
        return load_policy(policy)

    monkeypatch.setattr(models, "load_engine", load)
    monkeypatch.setattr("ig_guardrail.rollout.rollout.load_policy", read)
    return log


# -------------------------------------------------------------------------------- 1  a cache answers for another policy


def test_trap_two_policies_on_one_cache_never_share_an_answer() -> None:
    cache = InMemoryCache()
    lax, strict = chat(RUDE, LAX, cache=cache), chat(RUDE, cache=cache)
    assert lax.invoke("hello").text == RUDE
    assert strict.invoke("hello").text == REFUSAL


@pytest.mark.usefixtures("opened")
def test_trap_a_policy_that_was_changed_and_read_again_is_not_served_the_answers_of_the_old_one(tmp_path: Path) -> None:
    file, cache = tmp_path / "polite.yaml", InMemoryCache()
    file.write_text(LAX)
    model = ChatIGGuardrail(policy=load_policy(file), seed=7, cache=cache)
    assert model.invoke("hello").text == model.invoke("hello").text == RUDE
    assert len(cache._cache) == 1
    file.write_text(POLITE)
    model.policy = load_policy(file)
    assert model.invoke("hello").text == REFUSAL


@pytest.mark.parametrize("told", [RUDE, LATE])
async def test_trap_a_refused_or_ended_answer_is_never_cached(told: str) -> None:
    cache = InMemoryCache()
    model = chat(told, cache=cache)
    assert model.invoke("why?").text == (await model.ainvoke("why?")).text
    assert engine_of(model).calls("open") == 3, "the start-up check, and each of two answers"
    assert cache._cache == {}


def test_trap_an_answer_that_a_conversation_paid_for_is_never_cached() -> None:
    cache = InMemoryCache()
    model = chat(CALM, SHARED, cache=cache)
    turns = [model.invoke("Go.", conversation="c").response_metadata["ig_guardrail"]["turn"] for _ in range(2)]
    assert turns == [1, 2]
    assert cache._cache == {}


# ------------------------------------------------------------------------------ 2  a truncated tool call looks complete


@pytest.mark.parametrize("room", range(1, 9))
def test_trap_a_tool_call_that_is_cut_short_is_never_shown_or_parsed(room: int) -> None:
    said = f"Yes. {format_call('pay', {'amount': 10})}"
    chunks = list(chat(said, RULES, max_tokens=room).bind_tools([pay]).stream("Pay."))
    whole = folded(chunks)
    reason = whole.response_metadata["finish_reason"]
    assert called(whole) == ([("pay", {"amount": 10})] if reason == "tool_calls" else [])
    assert reason == ("length" if room < 6 else "tool_calls")
    assert all(OPEN[:2] not in chunk.text for chunk in chunks)
    assert len(whole.invalid_tool_calls) == (1 < room < 6)


def test_trap_a_stop_string_inside_a_tool_call_takes_the_call_away() -> None:
    answer = chat(READ, RULES, stop=["arguments"]).bind_tools(TOOLS).invoke("Read it.")
    assert (answer.content, answer.tool_calls) == ("", [])
    assert [call["name"] for call in answer.invalid_tool_calls] == ["read_file"]


def test_trap_a_refusal_never_follows_the_beginning_of_a_tool_call() -> None:
    chunks = list(chat(f"{CALM} {DELETE}", RULES).bind_tools(TOOLS).stream("Clean up."))
    assert all(not chunk.tool_call_chunks and OPEN not in chunk.text for chunk in chunks)
    words, closing = folded(chunks).text.split("\n\n")
    assert CALM.startswith(words)
    assert closing == CLOSING


# ---------------------------------------------------------------------------------- 3  protocol events drop the refusal


@pytest.mark.parametrize(("told", "message"), [(RUDE, REFUSAL), (LATE, CLOSING)])
async def test_trap_a_refusal_is_visible_in_protocol_events(told: str, message: str) -> None:
    sync: AIMessage = chat(told).stream_events("Go.", version="v3").output
    awaited: AIMessage = await (await chat(told).astream_events("Go.", version="v3"))
    for answer in (sync, awaited):
        assert answer.response_metadata["finish_reason"] == "content_filter"
        assert answer.response_metadata["ig_guardrail"]["message"] == message
        assert answer.text.endswith(message)
        blocks: list[Any] = list(answer.content_blocks)
        assert blocks[-1]["value"]["refusal"] == message


# ---------------------------------------------------------------------------------------- 4  metadata that cannot merge


@pytest.mark.parametrize("name", sorted(CONVERSATIONS.keys() - {"failed"}))
@pytest.mark.parametrize("version", ["v0", "v1"])
def test_trap_merging_the_chunks_of_a_stream_never_raises_and_gives_the_message(name: str, version: str) -> None:
    one = CONVERSATIONS[name]
    asked = {"strategy": one.strategy, "language": one.language, "stop": list(one.sampling.stop)}
    model = ChatIGGuardrail(guardrail=one.guardrail(), seed=7, output_version=version, **asked)
    model.max_tokens = one.sampling.max_tokens
    first, *rest = chunks = list(model.stream(one.prompt))
    whole, expected = folded(chunks), model.invoke(one.prompt)
    for merged in (whole, add_ai_message_chunks(first, *rest)):
        assert [_without_index(block) for block in merged.content_blocks] == expected.content_blocks
        assert merged.usage_metadata == expected.usage_metadata
        assert merged.response_metadata["finish_reason"] == expected.response_metadata["finish_reason"]


def _without_index(block: Any) -> dict[str, Any]:
    """A block less its place in the stream, which LangChain leaves on merged ones."""
    return {name: value for name, value in block.items() if name != "index"}


def test_trap_only_the_last_chunk_carries_metadata() -> None:
    *deltas, last = chat().stream("why?")
    assert len(deltas) == 4
    assert all(chunk.response_metadata == {"model_provider": "ig-guardrail"} for chunk in deltas)
    assert all(chunk.usage_metadata is None for chunk in deltas)
    assert all(chunk.chunk_position is None for chunk in deltas)
    assert last.chunk_position == "last"
    assert set(last.response_metadata) == {"finish_reason", "model_name", "model_provider", "ig_guardrail"}


# ------------------------------------------------------------------------------------ 5  indexes of blocks that collide


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_trap_words_and_calls_do_not_merge_into_one_block(version: str) -> None:
    bound = chat(f"Yes, sir. {READ}{READ}", RULES, output_version=version).bind_tools(TOOLS)
    for answer in (bound.invoke("Go."), folded(bound.stream("Go."))):
        assert [block["type"] for block in answer.content_blocks] == ["text", "tool_call", "tool_call"]
        assert [block["name"] for block in answer.content_blocks[1:]] == ["read_file"] * 2
        assert len(answer.tool_calls) == 2


# ------------------------------------------------------------------------------- 6  a cancelled call goes on generating


@pytest.mark.parametrize("way", ["ainvoke", "astream", "agenerate"])
async def test_trap_cancelling_an_async_call_stops_the_engine(way: str) -> None:
    gate = threading.Event()
    rail = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", 3): gate}))
    model = ChatIGGuardrail(guardrail=rail, seed=7)

    async def streamed() -> None:
        async for _ in model.astream("why?"):
            pass

    calls = {
        "ainvoke": lambda: model.ainvoke("why?"),
        "astream": streamed,
        "agenerate": lambda: model.agenerate([[HumanMessage("why?")]]),
    }
    waiting = asyncio.create_task(calls[way]())
    while engine_of(model).calls("extend") < 3:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert engine_of(model).calls("extend") == 3
    assert engine_of(model).live_nodes() == 0


# -------------------------------------------------------------------------- 7  refusal blocks that not every core knows


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_trap_a_refusal_is_a_block_of_its_own_on_every_core(version: str) -> None:
    model = chat(RUDE, output_version=version)
    for answer in (model.invoke("Go."), folded(model.stream("Go."))):
        (block,) = answer.content_blocks
        assert (block["type"], block["refusal"]) == ("refusal", REFUSAL)
        assert block["extras"]["reason"] == "no safe continuation was found"
        assert answer.response_metadata["finish_reason"] == "content_filter"


# ------------------------------------------------------------------------------------- 8  a refusal that becomes a None


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_trap_where_a_value_was_expected_a_refusal_raises(method: Any) -> None:
    said = format_call("Reply", {"text": "blockhead"}) if method == "function_calling" else '{"text": "blockhead"}'
    chain = chat(said).with_structured_output(Reply, method=method)
    with pytest.raises(AnswerRefused, match="the policy let no such answer through"):
        chain.invoke("Go.")
    with pytest.raises(AnswerRefused):
        await chain.ainvoke("Go.")
    with pytest.raises(AnswerRefused):
        list(chain.stream("Go."))


def test_trap_the_error_is_langchains_own_where_it_has_one() -> None:
    from langchain_core import exceptions

    known = getattr(exceptions, "ModelRefusalError", exceptions.OutputParserException)
    assert issubclass(AnswerRefused, known)


# ------------------------------------------------------------------------------------ 9  tokens that are reported twice


@pytest.mark.parametrize("way", ["stream", "invoke", "astream", "ainvoke"])
async def test_trap_every_chunk_is_reported_to_callbacks_once(way: str) -> None:
    class Heard(BaseCallbackHandler):
        tokens: list[Any] = []  # noqa: RUF012  # replaced below

        def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
            self.tokens.append(token)

    heard = Heard()
    heard.tokens = []
    config: Any = {"callbacks": [heard]}
    model = chat(streaming=True)
    if way == "stream":
        list(model.stream("why?", config))
    elif way == "invoke":
        model.invoke("why?", config)
    elif way == "astream":
        [chunk async for chunk in model.astream("why?", config)]
    else:
        await model.ainvoke("why?", config)
    assert len(heard.tokens) == 5
    assert "".join(heard.tokens) == CALM


# -------------------------------------------------------------------------------- 10  models made a thousand times over


@pytest.mark.slow
def test_trap_ten_thousand_models_read_and_load_nothing(opened: list[str]) -> None:
    threads = set(threading.enumerate())
    made = [ChatIGGuardrail(policy="default") for _ in range(10_000)]
    assert opened == []
    assert set(threading.enumerate()) <= threads
    made[0].policy = compiled()
    made[0].invoke("hello")
    made[0].invoke("hello")
    assert opened == ["policy", "model embedded"]


# ------------------------------------------------------------------------------ 11  arguments every chat model is given


def test_trap_what_every_chat_model_is_constructed_with_is_taken() -> None:
    usual = {"temperature": 0, "max_tokens": 100, "timeout": 60, "stop": [], "max_retries": 2}
    made = ChatIGGuardrail(**usual, api_key="test", streaming=True)
    assert (made.temperature, made.max_tokens, made.timeout, made.stop) == (0, 100, 60, [])
    assert "test" not in repr(made)
    assert chat(max_retries=2, timeout=60, stop=[]).invoke("why?").text == CALM


# -------------------------------------------------------------------------------------------- 12  blocks in the history


def test_trap_the_blocks_of_other_models_are_read_as_words() -> None:
    history = [
        SystemMessage([{"type": "text", "text": "The sky", "cache_control": {"type": "ephemeral"}}]),
        HumanMessage([{"type": "text", "text": "looks blue", "cache_control": {"type": "ephemeral"}}]),
        AIMessage(
            [
                {"type": "thinking", "thinking": "secret", "signature": "x"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "because"},
                {"type": "tool_use", "id": "1", "name": "read_file", "input": {"name": "a"}},
            ],
            tool_calls=[{"name": "read_file", "args": {"name": "a"}, "id": "1"}],
        ),
        ToolMessage([{"type": "text", "text": "the air"}], tool_call_id="1"),
    ]
    plain = [
        SystemMessage("The sky"),
        HumanMessage("looks blue"),
        AIMessage("because", tool_calls=[{"name": "read_file", "args": {"name": "a"}, "id": "1"}]),
        ToolMessage("the air", tool_call_id="1"),
    ]
    model = chat()
    assert model.invoke(history).text == CALM
    read = [model.get_num_tokens_from_messages(messages) for messages in (history, plain)]
    assert read[0] == read[1]


@pytest.mark.parametrize("kind", ["image", "image_url", "input_audio", "file", "document"])
def test_trap_an_image_is_refused_before_anything_is_decoded(kind: str) -> None:
    model = chat(KIND)
    blocks = [{"type": "text", "text": "what is this?"}, {"type": kind, "data": "aGk=", "url": "x"}]
    with pytest.raises(RequestError, match=f"type '{kind}', which is not text"):
        model.invoke([HumanMessage(blocks)])  # type: ignore[arg-type]
    assert engine_of(model).calls("open") == 0
