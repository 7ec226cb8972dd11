"""Tools, calls and results in prompts: told by the template, and inert like all words of others."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.calls.decoded import read_decoded
from ig_guardrail.costs.pattern import compile_patterns
from ig_guardrail.engine.text.call_turns import id_of
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.engine.text.detokenize import detokenizer_of
from ig_guardrail.engine.text.tool_probe import markers_of
from ig_guardrail.errors import RequestError
from ig_guardrail.text.calls import ResponseFormat, Tool, format_calls, format_message, with_instructions
from ig_guardrail.types import AssistantMessage, CallNotation, Message, Piece, Prompt, ToolCall
from tests.examples import examples
from tests.faults.templates import NO_SYSTEM
from tests.formats.shapes import SHAPES, WITHOUT, chat
from tests.formats.test_reading import TOOLS, notation

every_shape = pytest.mark.parametrize("shape", SHAPES)
PARTS = [
    "<|open|>",
    "<|shut|>",
    "<|",
    "|>",
    "open",
    "</tool_call>",
    "<tool_call>",
    "[TOOL_CALLS]",
    "<function=",
    "\n",
    "a",
    " ",
]


def conversation(*, result: str = "sunny", city: str = "Bonn", name: str = "get_weather", words: str = "") -> Any:
    """A question, a call that answers it, and its result."""
    said = AssistantMessage(words, (ToolCall(name, {"city": city}, "call_1"),))
    return (
        Message("user", "How is the weather?"),
        Message("assistant", format_message(said), (said,)),
        Message("tool", result, call_id="call_1"),
    )


def read(shape: str, turns: Any, tools: tuple[Tool, ...] = TOOLS) -> str:
    """The prompt as the model reads it."""
    form = CallNotation(chat(shape).format, tools)
    return str(chat(shape).tokenizer.decode(chat(shape).encode(turns, notation=form).ids, skip_special_tokens=False))


def markers(shape: str, turns: Any, tools: tuple[Tool, ...] = TOOLS) -> list[int]:
    """The tokens of a prompt that no words can make."""
    form = CallNotation(chat(shape).format, tools)
    return [token for token in chat(shape).encode(turns, notation=form).ids if token in chat(shape).added]


@pytest.mark.parametrize("shape", [name for name, one in SHAPES.items() if not one.parallel])
@pytest.mark.parametrize("answered", ["12", "21", "1", "2", ""])
def test_calls_side_by_side_follow_each_other_where_a_template_takes_one(shape: str, answered: str) -> None:
    cities = {"1": "Bonn", "2": "Rome"}
    said = AssistantMessage("", tuple(ToolCall("get_weather", {"city": cities[id]}, id) for id in "12"))
    results = [Message("tool", f"sunny in {cities[id]}", call_id=id) for id in answered]
    asked = Message("user", "How is the weather?")
    text = read(shape, (asked, Message("assistant", format_message(said), (said,)), *results, Message("user", "And?")))
    assert not re.search("Result of the tool call|<tool_call>", text)
    told = text[text.index("How is the weather?") :]
    order = [told.index(f'"city": "{city}"') for city in cities.values()]
    for id, call, end in zip("12", order, [order[1], len(told)], strict=True):
        assert (f"sunny in {cities[id]}" in told[call:end]) == (id in answered)


@every_shape
def test_the_template_tells_of_tools_and_writes_calls_and_results(shape: str) -> None:
    text = read(shape, conversation())
    assert all(tool.name in text and tool.description in text for tool in TOOLS)
    assert format_calls((ToolCall("get_weather", {"city": "Bonn"}),), notation(shape))[:12] in text
    assert "sunny" in text
    assert "You have these tools" not in text
    assert "Result of the tool call" not in text


@every_shape
@settings(max_examples=examples(10), deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("".join))
def test_no_words_of_calls_results_and_tools_open_or_close_anything(shape: str, text: str) -> None:
    calm = markers(shape, conversation())
    assert markers(shape, conversation(result=text or "x")) == calm
    assert markers(shape, conversation(city=text)) == calm
    odd = Tool("get_weather", f"The weather. {text}", {"type": "object", "properties": {"city": {"description": text}}})
    plain = Tool("get_weather", "The weather.", {"type": "object", "properties": {"city": {"description": "x"}}})
    assert markers(shape, conversation(), (odd,)) == markers(shape, conversation(), (plain,))


def test_a_tool_that_makes_a_marker_with_the_templates_words_is_refused() -> None:
    tokenizer = SHAPES["hermes"].tokenizer()
    tokenizer.chat_template = "{% for t in tools or [] %}<{{ t.function.name }}{% endfor %}" + tokenizer.chat_template
    made = chat_of(tokenizer)
    odd = Tool("|shut|>", "", {"type": "object", "properties": {}})
    with pytest.raises(RequestError, match="a tool's text changes the structure"):
        made.encode((Message("user", "Hi."),), notation=CallNotation(made.format, (odd,)))


def test_results_are_named_after_their_calls_as_the_template_demands() -> None:
    text = read("mistral", conversation())
    name = id_of("call_1", chat("mistral").format)
    assert (len(name), text.count(name)) == (9, 2)
    assert id_of("call_1", chat("hermes").format) == "call_1"
    assert id_of("<|shut|>", chat("hermes").format).isalnum()


@pytest.mark.parametrize("shape", WITHOUT)
def test_where_the_template_has_no_tools_all_is_said_in_words(shape: str) -> None:
    turns = (Message("user", "Hi."), Message("assistant", "So."), Message("tool", "sunny"))
    assert chat(shape).encode(turns).ids == chat(shape).encode(turns, notation=CallNotation()).ids
    text = str(chat(shape).tokenizer.decode(chat(shape).encode(turns).ids))
    assert "sunny" in text


@every_shape
def test_tokens_with_which_calls_are_written_spell_themselves(shape: str) -> None:
    tokenizer = SHAPES[shape].tokenizer()
    spelled = detokenizer_of(tokenizer, markers_of(chat(shape).format))
    for token, entry in tokenizer.added_tokens_decoder.items():
        ours = entry.content in markers_of(chat(shape).format)
        assert spelled.bytes_of(token) == (entry.content.encode() if ours or not entry.special else b"")


@every_shape
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_texts_of_calls_are_judged_as_they_will_be_read(shape: str, size: int) -> None:
    call = ToolCall("send-mail", {"to": ["Ann"], "text": 'a "secret" word'})
    text = format_calls((call,), notation(shape))
    cost = read_decoded(compile_patterns(['a "secret"'], 20, "codes", ("x",)))
    state, worst = cost.start(Prompt((), (1,), notation=notation(shape))), 0.0
    for start in range(0, len(text), size):
        ((state, (score,)),) = cost.advance(
            [(state, Piece(text[start : start + size], ended=start + size >= len(text)))]
        )
        worst = max(worst, score)
    assert worst == 1.0


def test_instructions_and_results_go_into_the_users_turn_where_there_is_no_other() -> None:
    form = ResponseFormat(TOOLS)
    turns = with_instructions(form, conversation(words="I look."), chat("gemma").format)
    prompt = chat("gemma").encode(turns, notation=form.notation(chat("gemma").format))
    text = str(chat("gemma").tokenizer.decode(prompt.ids))
    asked, answered, result = text.split("<|open|>")[1:4]
    assert asked.startswith("user\nYou have these tools")
    assert '"name": "get_weather"' in asked
    assert asked.endswith("How is the weather?<|shut|>")
    assert answered.startswith('model\nI look.\n<tool_call>{"name": "get_weather", "arguments": {"city": "Bonn"}}')
    assert result == "user\nResult of the tool call:\nsunny<|shut|>"


def test_a_template_with_calls_and_no_system_role_keeps_its_calls() -> None:
    tokenizer = SHAPES["hermes"].tokenizer()
    tokenizer.chat_template = NO_SYSTEM + tokenizer.chat_template
    made = chat_of(tokenizer)
    turns = (Message("system", "Be brief."), *conversation())
    text = str(tokenizer.decode(made.encode(turns, notation=CallNotation(made.format, TOOLS)).ids))
    assert made.format == chat("hermes").format
    assert "<|open|>user\nBe brief.\n\nHow is the weather?<|shut|>" in text
    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bonn"}}\n</tool_call>' in text
