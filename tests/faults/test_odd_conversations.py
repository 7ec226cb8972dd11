"""Conversations that templates did not think of: nothing that was said is lost, and what cannot be served is named."""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from ig_guardrail import ChatIGGuardrail
from ig_guardrail.engine.loading.context_window import window_of
from ig_guardrail.engine.text.arranging import RESULT
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.errors import PromptTooLong, RequestError
from ig_guardrail.types import Message, Role
from tests.examples import examples
from tests.faults.templates import ALTERNATE, MODELS, NO_SYSTEM, Model
from tests.golden.conversations import CALM, scripted_guardrail

DEAF = Model(  # leaves out what systems and tools say, and says nothing of it
    "{% for m in messages %}{% if m['role'] in ('user', 'assistant') %}"
    "{{ '<|open|>' + m['role'] + '\n' + m['content'] + '<|shut|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|open|>assistant\n' }}{% endif %}"
)
ALL = {**MODELS, "deaf": DEAF}
ROLES: st.SearchStrategy[Role] = st.sampled_from(["system", "user", "assistant", "tool"])
WORDS = st.sampled_from(["", "", " ", "one", "two words", "\n\nthree"])


@cache
def chat(name: str) -> Chat:
    return chat_of(ALL[name].tokenizer())


def read_as(name: str, *turns: Message) -> str:
    return str(chat(name).tokenizer.decode(chat(name).encode(turns).ids, skip_special_tokens=False))


@given(st.sampled_from(sorted(ALL)), st.lists(st.tuples(ROLES, WORDS), min_size=1, max_size=6))
@settings(deadline=None, max_examples=examples(200))
def test_every_template_takes_every_conversation_and_loses_no_word(name: str, said: list[tuple[Role, str]]) -> None:
    turns = tuple(Message(role, f"{text}word{number}." if text else text) for number, (role, text) in enumerate(said))
    prompt = chat(name).encode(turns)
    read = str(chat(name).tokenizer.decode(prompt.ids, skip_special_tokens=False))
    places = [read.find(f"word{number}.") for number, (_, text) in enumerate(said) if text]
    assert -1 not in places
    assert places == sorted(places)
    assert prompt.turns == turns


def test_instructions_are_said_by_the_user_where_there_is_no_system_role() -> None:
    told = read_as("gemma", Message("system", "Be brief."), Message("user", "Why?"))
    assert told == "<bos><start_of_turn>user\nBe brief.\n\nWhy?<end_of_turn>\n<start_of_turn>model\n"
    late = read_as(
        "gemma", Message("user", "a"), Message("assistant", "b"), Message("system", "s"), Message("user", "c")
    )
    assert "<start_of_turn>user\ns\n\nc<end_of_turn>" in late


def test_results_of_tools_are_said_by_the_user_where_there_is_no_tool_role() -> None:
    turns = (Message("user", "q"), Message("assistant", "call"), Message("tool", "42"), Message("tool", "43"))
    assert f"<start_of_turn>user\n{RESULT}\n42\n\n{RESULT}\n43<end_of_turn>" in read_as("gemma", *turns)


def test_what_a_template_would_leave_out_without_a_word_is_said_by_the_user() -> None:
    told = read_as(
        "deaf", Message("system", "Be brief."), Message("user", "q"), Message("assistant", "a"), Message("tool", "42")
    )
    assert "<|open|>user\nBe brief.\n\nq<|shut|>" in told
    assert f"<|open|>user\n{RESULT}\n42<|shut|>" in told


def test_a_conversation_may_begin_with_an_answer() -> None:
    turns = (Message("assistant", "Hi."), Message("user", "Why?"))
    assert "<start_of_turn>user\n<end_of_turn>\n<start_of_turn>model\nHi.<end_of_turn>" in read_as("gemma", *turns)


def test_a_template_that_takes_a_conversation_gets_it_as_it_is() -> None:
    turns = (
        Message("user", "a"),
        Message("user", "b"),
        Message("system", "c"),
        Message("assistant", ""),
        Message("assistant", ""),
    )
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    tokenizer = chat("phi-3").tokenizer
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert chat("phi-3").encode(turns).ids == tuple(expected)


def test_a_template_that_takes_nothing_is_named() -> None:
    tokenizer = Model(NO_SYSTEM + ALTERNATE + "{{ raise_exception('never') }}").tokenizer()
    with pytest.raises(RequestError, match="chat template refuses this conversation: no system role"):
        chat_of(tokenizer).encode((Message("system", "s"), Message("user", "u")))


EMPTY = AIMessage("")
CALL = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])


@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage("q"), EMPTY, EMPTY],
        [HumanMessage("q"), EMPTY, EMPTY, HumanMessage("q")],
        [EMPTY, HumanMessage("q")],
        [HumanMessage(""), EMPTY, SystemMessage(""), HumanMessage("q"), EMPTY],
        [ToolMessage("42", tool_call_id="1"), HumanMessage("q")],
        [HumanMessage("q"), CALL, ToolMessage("", tool_call_id="1"), EMPTY, SystemMessage("s")],
    ],
)
def test_odd_conversations_are_answered(messages: list[BaseMessage]) -> None:
    assert ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM})).invoke(messages).text == CALM


def test_a_conversation_of_empty_answers_has_nothing_to_answer() -> None:
    with pytest.raises(RequestError, match="the conversation is empty"):
        ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM})).invoke([EMPTY, EMPTY])


async def test_a_prompt_that_is_too_long_is_known_to_langchain_and_to_us() -> None:
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}, context=20))
    long = "word " * 30
    for error in (ContextOverflowError, PromptTooLong, RequestError):
        with pytest.raises(error, match=r"the prompt has \d+ tokens, and the model reads 20"):
            model.invoke(long)
        with pytest.raises(error):
            list(model.stream(long))
        with pytest.raises(error):
            await model.ainvoke(long)
        with pytest.raises(error):
            [chunk async for chunk in model.astream(long)]


def gguf(*fields: bytes) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, len(fields)) + b"".join(fields)


def field(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


TAGS = field("general.tags", 9, struct.pack("<IQQ1sQ1s", 8, 2, 1, b"a", 1, b"b"))
SIZES = field("general.sizes", 9, struct.pack("<IQ3I", 4, 3, 1, 2, 3))
CONTEXT = field("llama.context_length", 4, struct.pack("<I", 2048))


@pytest.mark.parametrize(
    ("name", "content", "window"),
    [
        ("config.json", json.dumps({"max_position_embeddings": 512}).encode(), 512),
        ("config.json", json.dumps({"text_config": {"max_position_embeddings": 1024}}).encode(), 1024),
        ("config.json", b"{}", None),
        ("config.json", b"[1]", None),
        ("config.json", b"{", None),
        ("m.gguf", gguf(TAGS, SIZES, CONTEXT), 2048),
        ("m.gguf", gguf(TAGS, SIZES), None),
        ("m.gguf", gguf(CONTEXT)[:40], None),
        ("m.gguf", gguf(field("x", 99, b"")), None),
        ("m.gguf", b"GGUF", None),
        ("m.gguf", gguf(field("x", 8, struct.pack("<Q", 2**62))), None),
        ("m.gguf", b"no such file at all, but a long one", None),
    ],
)
def test_files_tell_how_much_a_model_reads(tmp_path: Path, name: str, content: bytes, window: int | None) -> None:
    (tmp_path / name).write_bytes(content)
    model = tmp_path if name == "config.json" else tmp_path / name
    assert window_of(str(model)) == window
    profile = ChatIGGuardrail(model=str(model)).profile
    assert profile is not None
    assert profile.get("max_input_tokens") == window


def test_a_model_that_is_not_here_tells_nothing() -> None:
    assert window_of("nobody/nothing") is None
    assert window_of("../no/such/place") is None


def test_the_embedded_models_window_is_known_before_it_is_loaded() -> None:
    assert (ChatIGGuardrail().profile or {})["max_input_tokens"] == 8192


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (10**4_400, "a whole number of about 4400 digits"),
        ([-(10**5_000)], "a whole number of about 5000 digits"),
        (nested(800), "nested more than 100 levels deep"),
    ],
    ids=("digits", "in a list", "nested"),
)
@pytest.mark.parametrize("place", ["call", "beside"])
async def test_what_nobody_could_write_out_is_named(value: object, told: str, place: str) -> None:
    call = {"name": "f", "args": {"value": value if place == "call" else 1}, "id": "1"}
    beside = {"refused": value} if place == "beside" else {}
    said = AIMessage("", tool_calls=[call], additional_kwargs=beside)  # type: ignore[list-item]
    asked = [HumanMessage("Why?"), said, ToolMessage("ok", tool_call_id="1")]
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}), max_tokens=64)
    for ask in (lambda: model.invoke(asked), lambda: list(model.stream(asked))):
        with pytest.raises(RequestError, match=told) as refused:
            ask()
        assert refused.value.where.startswith("messages[1].")
    with pytest.raises(RequestError, match=told):
        await model.ainvoke(asked)


def test_values_that_can_be_written_out_are_read() -> None:
    call = {"name": "f", "args": {"n": 10**2_000, "deep": nested(90)}, "id": "1"}
    said = AIMessage("", tool_calls=[call])  # type: ignore[list-item]
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): CALM}), max_tokens=64)
    assert model.invoke([HumanMessage("Why?"), said, ToolMessage("ok", tool_call_id="1")]).content == CALM
