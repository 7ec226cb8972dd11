"""The formats of models' own: what a call is written as is read back, and what a grammar takes is a call."""

from __future__ import annotations

import functools
import json
import random
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.calls.reader import reader_of
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.engine.text.rendering import render
from ig_guardrail.schemas.checking import validator
from ig_guardrail.text.call_notation import before_calls, beginning
from ig_guardrail.text.calls import ResponseFormat, Tool, format_calls, format_message, parse_calls, shown_length
from ig_guardrail.types import AssistantMessage, CallNotation, Draw, Message, Piece, Sampling, ToolCall
from tests.examples import examples
from tests.formats.shapes import SHAPES, WITHOUT, chat

WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["city"],
    },
)
SEND = Tool(
    "send-mail",
    "Send a letter.",
    {
        "type": "object",
        "properties": {
            "to": {"type": "array", "items": {"type": "string"}},
            "text": {"type": "string"},
            "kind": {"enum": ["plain", "rich"]},
            "urgent": {"type": "boolean"},
            "about": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["to", "text"],
    },
)
STOP = Tool("stop", "Stop.", {"type": "object", "properties": {}})
TOOLS = (WEATHER, SEND, STOP)
FORM = ResponseFormat(TOOLS)
ROOM = 170  # tokens of what is babbled


def notation(shape: str, form: ResponseFormat = FORM) -> CallNotation:
    """How the calls of a form are written by a model of a shape."""
    return form.notation(chat(shape).format)


def texts(shape: str) -> st.SearchStrategy[str]:
    """Texts that a call of a shape can hold: between tags, all but what closes them."""
    said = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
        ["</tool_call>", "```", '"}', "[TOOL_CALLS] [", "a\n\nb", "\\", "<parameter=x>", "', '", "true", "7", "[1]"]
    )
    return said.filter(lambda text: "</parameter>" not in text and "\r" not in text) if shape == "tags" else said


def calls_of(shape: str) -> st.SearchStrategy[ToolCall]:
    """Calls that keep to the schemas of the tools."""
    text = texts(shape)
    weather = st.fixed_dictionaries({"city": text}, optional={"days": st.integers(1, 9)})
    send = st.fixed_dictionaries(
        {"to": st.lists(text, max_size=3), "text": text},
        optional={"kind": st.sampled_from(["plain", "rich"]), "urgent": st.booleans(), "about": st.none() | text},
    )
    return st.one_of(
        weather.map(lambda given: ToolCall("get_weather", in_order(WEATHER, given))),
        send.map(lambda given: ToolCall("send-mail", in_order(SEND, given))),
        st.just(ToolCall("stop", {})),
    )


def in_order(tool: Tool, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments in the order in which the schema names them, as grammars have them."""
    return {key: given[key] for key in tool.parameters["properties"] if key in given}


def messages(shape: str) -> st.SearchStrategy[AssistantMessage]:
    most = 3 if SHAPES[shape].parallel else 1
    words = st.sampled_from(["", "Well.", "I look it up: `{`", "Not [TOOL_CALLS] but"])
    return st.builds(AssistantMessage, words, st.lists(calls_of(shape), min_size=1, max_size=most).map(tuple))


@functools.cache
def tokens() -> tuple[Vocabulary, Grammars]:
    vocabulary = Vocabulary([])
    return vocabulary, Grammars(vocabulary.language, vocabulary.ids)


def taken(shape: str, form: ResponseFormat, text: str) -> str:
    """As much of a text as a form takes; all of it and an end mark if the answer may end there."""
    vocabulary, grammars = tokens()
    state = grammars.compiled(form.grammar(400, chat(shape).format) or "").after(())
    ids = vocabulary.ids(text)
    for place, token in enumerate(ids):
        if not state.allowed()[token]:
            return text.encode()[:place].decode("utf-8", "replace")
        state.take(token)
    return f"{text}$" if state.allowed()[vocabulary.end] else text


every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_shape
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_calls_are_read_back_as_they_were_written(shape: str, data: st.DataObject) -> None:
    said = data.draw(messages(shape))
    text = format_message(said, notation(shape))
    assert parse_calls(text, notation=notation(shape)) == (f"{said.words}\n", said.calls)


@every_shape
@settings(max_examples=examples(15), deadline=None)
@given(data=st.data())
def test_calls_of_a_history_are_read_back_as_the_template_wrote_them(shape: str, data: st.DataObject) -> None:
    """Of the union of texts and others, the template writes the texts as they are, so these are left out there."""
    calls = data.draw(st.lists(calls_of(shape), min_size=1, max_size=3 if SHAPES[shape].parallel else 1))
    kept = tuple(
        ToolCall(
            call.name,
            {key: value for key, value in call.arguments.items() if key != "about" or shape != "tags"},
            "a" * 9,
        )
        for call in calls
    )
    asked = TemplateMessage("user", "Go.")
    form = chat(shape).format
    told = [chat(shape)._told(tool) for tool in TOOLS]
    turn = render(chat(shape).tokenizer, [asked, TemplateMessage("assistant", "", calls=kept)], told, form).text
    before = render(chat(shape).tokenizer, [asked], told, form).text
    assert turn.startswith(before.removesuffix("\n"))
    said = turn[len(before) :]
    if form.channel:  # a past call names its tool before its channel, and the next answer is begun behind it
        said = re.sub(r"^ to=(\S+)(<.channel.>\w+) (.*)<.call.>.*", r"\2 to=\1 <|constrain|>\3", said, flags=re.DOTALL)
    if chat(shape).thoughts is not None and not form.channel:
        said = said.removeprefix("<think>\n\n</think>\n\n")  # which is no part of what was said
    assert parse_calls(said, notation=notation(shape)) == ("\n" if said.startswith("\n") else "", kept)


@pytest.mark.slow
@every_shape
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_the_grammar_takes_what_is_written(shape: str, data: st.DataObject) -> None:
    said = data.draw(
        messages(shape).filter(lambda one: "\\u" not in json.dumps([call.arguments for call in one.calls]))
    )
    text = format_message(said, notation(shape))
    assert taken(shape, FORM, text) == f"{text}$"


@every_shape
@pytest.mark.slow
@pytest.mark.parametrize("choice", ["any", "auto"])
def test_what_the_grammar_takes_is_a_call_that_keeps_to_its_schema(shape: str, choice: Any) -> None:
    for seed in range(3):
        form = ResponseFormat(TOOLS, choice)
        text = babbled(shape, form, seed)
        words, calls = parse_calls(text, notation=notation(shape, form))
        assert calls or choice == "auto", text
        assert not words.strip()
        for call in calls:
            (tool,) = (tool for tool in TOOLS if tool.name == call.name)
            validator({**tool.parameters, "additionalProperties": False}).validate(dict(call.arguments))


def babbled(shape: str, form: ResponseFormat, seed: int) -> str:
    """An answer of a model that says anything; with "auto", behind a call's beginning."""
    engine = ScriptedEngine(Babbler(seed, begun(shape) if form.choice == "auto" else ""), context=4096)
    grammar = form.grammar(ROOM, chat(shape).format)
    sampling = Sampling(seed=seed, temperature=1.0, top_p=1.0, max_tokens=ROOM, grammar=grammar)
    root = engine.open(engine.encode([Message("user", "Go.")]), sampling).result()
    (node,) = engine.extend([Draw(root)], ROOM).result()
    assert node.finish == "stop" or form.choice == "auto"  # where words may stand, an answer may be cut
    return node.text


def begun(shape: str) -> str:
    text = format_calls((ToolCall("get_weather", {"city": ""}),), notation(shape))
    return text[: text.index("city")]


PIECES = ['"', '"}', "]", "a", " ", "\n", "1", "true", "arguments", "parameter", "function", "tool", "call", "</", "_"]


@dataclass(frozen=True)
class Babbler:
    """Any token may follow any other, behind what it is made to say first."""

    seed: int
    first: str
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(PIECES))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        ids = self.vocabulary.ids(self.first)
        if len(place.prefix) < len(ids):
            return [(ids[len(place.prefix)], 1.0)]
        dice = random.Random(f"{self.seed} {place.prefix} {place.lane}")
        weights = [dice.random() ** 3 for _ in range(self.vocabulary.language.size)]
        total = sum(weights)
        return [(token, weight / total) for token, weight in enumerate(weights)]


@pytest.mark.slow
@every_shape
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_calls_are_found_however_an_answer_is_cut(shape: str, data: st.DataObject) -> None:
    text = format_message(data.draw(messages(shape)), notation(shape))
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=8))})
    reader, found = reader_of(notation(shape)), list[Any]()
    for start, stop in pairwise(cuts):
        reader = reader.read(Piece(text[start:stop]))
        found += reader.made
    assert tuple(found) == parse_calls(text, notation=notation(shape))[1]


@pytest.mark.slow
@every_shape
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_grammar_reader_and_hold_back_agree(shape: str, data: st.DataObject) -> None:
    call = format_calls((ToolCall("get_weather", {"city": "Bonn"}),), notation(shape))
    bare = '{"name": "get_weather", "arguments": {"city": "Bonn"}}'
    pieces = [
        call,
        call[:9],
        bare,
        f"```json\n{bare}\n```",
        "\n",
        " ",
        "{",
        "[",
        "`",
        "a",
        ". ",
        '{"name"',
        "get_weather",
    ]
    text = data.draw(st.lists(st.sampled_from(pieces), max_size=6).map("".join))
    mine = notation(shape)
    start, took = beginning(text, mine), taken(shape, FORM, text)
    words, calls = parse_calls(text, notation=mine)
    assume(mine.format.separator is not None or len(calls) < 2)  # the grammar lets nobody write a second one
    assert words == text[:start]
    assert (took == f"{text}$") == (
        start is None or (bool(calls) and shown_length(text, True, None, mine) == len(text))
    )
    for end in range(len(text) + 1):
        shown = shown_length(text[:end], False, None, mine)
        assert shown == before_calls(text[:end], False, mine) <= len(words)


@every_shape
def test_prose_may_speak_of_calls(shape: str) -> None:
    call = format_calls((ToolCall("get_weather", {"city": "Bonn"}),), notation(shape))
    quoted = call.replace("\n", " ")
    for text in (
        f"Write `{quoted}` to look.",
        'A name:\n{"name": "Ann", "arguments": {}}',
        "[see below](x)",
        '{"a": 1}',
    ):
        assert taken(shape, FORM, text) == f"{text}$"
        assert parse_calls(text, notation=notation(shape)) == (text, ())


@every_shape
def test_a_bare_object_that_names_a_tool_is_a_call_where_a_model_may_choose(shape: str) -> None:
    made = '{\n  "name": "get_weather",\n  "arguments": {"city": "Bonn"}\n}'
    for text in (made, f"So.\n```json\n{made}\n```", f"```\n{made.replace('arguments', 'parameters')}\n```\n"):
        assert taken(shape, FORM, text) == f"{text}$"
        assert parse_calls(text, notation=notation(shape))[1] == (ToolCall("get_weather", {"city": "Bonn"}),)
    forced = ResponseFormat(TOOLS, "any")
    assert len(taken(shape, forced, f"```json\n{made}\n```")) < len(made)


@every_shape
def test_where_no_call_may_be_none_can_begin(shape: str) -> None:
    form = ResponseFormat(TOOLS, "none")
    call = format_calls((ToolCall("get_weather", {"city": "Bonn"}),), notation(shape))
    assert len(taken(shape, form, call)) < len(call)
    assert taken(shape, form, "No.") == "No.$"


@every_shape
def test_one_call_at_most(shape: str) -> None:
    form = ResponseFormat(TOOLS, "any", parallel=False)
    one = ToolCall("get_weather", {"city": "Bonn"})
    text, two = (format_calls((one,) * count, notation(shape, form)) for count in (1, 2))
    assert taken(shape, form, text) == f"{text}$"
    assert len(taken(shape, form, two)) < len(two)


@pytest.mark.parametrize("shape", WITHOUT)
def test_a_template_without_a_format_gets_ours(shape: str) -> None:
    assert chat(shape).format == CallNotation().format


def test_tools_whose_arguments_tags_cannot_hold_have_our_format() -> None:
    odd = Tool("odd", "", {"type": "object", "additionalProperties": {"type": "integer"}})
    assert notation("tags").format.native
    assert not notation("tags", ResponseFormat((odd, WEATHER))).format.native
