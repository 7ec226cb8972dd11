"""Where a call begins is one thing for grammar, reader, hold-back and rules; prose may speak of calls."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.calls.rules import tool_rules
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.script import Vocabulary
from ig_guardrail.integrations.langchain import ChatIGGuardrail
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.integrations.langchain.response_format import form_of
from ig_guardrail.text.call_notation import before_calls, beginning
from ig_guardrail.text.calls import (
    BLANKS,
    CLOSE,
    OPEN,
    ResponseFormat,
    Tool,
    format_call,
    parse_calls,
    shown_length,
)
from ig_guardrail.types import Piece, Prompt, ToolCall
from tests.examples import examples
from tests.golden.conversations import compiled, scripted_guardrail
from tests.unit.langchain.teller import call_part, teller
from tests.unit.langchain.test_tools import RULES, TOOLS, called, delete_file, folded

NONE: dict[str, Any] = {"type": "object", "properties": {}}
LOOK, WIPE = format_call("look", {}), format_call("wipe", {})
NATIVE = f'{OPEN}\n{{"name": "look", "arguments": {{}}}}\n{CLOSE}'
FORM = ResponseFormat((Tool("look", "", NONE), Tool("wipe", "", NONE)))


@functools.cache
def tokens() -> tuple[Vocabulary, Grammars]:
    vocabulary = Vocabulary([])
    return vocabulary, Grammars(vocabulary.language, vocabulary.ids)


def taken(form: ResponseFormat, text: str) -> str:
    """As much of a text as a form takes; all of it and an end mark if the answer may end there."""
    vocabulary, grammars = tokens()
    state = grammars.compiled(form.grammar(400) or "").after(())
    ids = vocabulary.ids(text)
    for place, token in enumerate(ids):
        if not state.allowed()[token]:
            return text.encode()[:place].decode("utf-8", "replace")
        state.take(token)
    return f"{text}$" if state.allowed()[vocabulary.end] else text


PROSE = [
    f"The tag {OPEN} opens a call.",
    f"Write `{OPEN}` first.",
    f"I never write {OPEN}",
    f"{OPEN} is the tag that opens a call.",
    f"It stands on a line of its own.\n{OPEN}\nThen comes JSON.",
    f"```\n{OPEN}\n```",
    f"Put it between {OPEN} and {CLOSE}.",
    f"Write `{LOOK}` to look.",
    f"To look, write {LOOK} and wait.",
    f"A sentence. {OPEN}: that is how it begins.",
    "a <b> and a <tool",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", PROSE)
@pytest.mark.parametrize("parallel", [True, False])
def test_prose_may_speak_of_calls(text: str, parallel: bool) -> None:
    assert taken(ResponseFormat(FORM.tools, parallel=parallel), text) == f"{text}$"
    assert parse_calls(text) == (text, ())
    bound = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): list(text)}), seed=7).bind_tools(TOOLS)
    for answer in (bound.invoke("How?"), folded(list(bound.stream("How?")))):
        assert (answer.text, called(answer), answer.response_metadata["finish_reason"]) == (text, [], "stop")


CALLS = [
    (LOOK, "", 1),
    (NATIVE, "", 1),
    (f"Yes.\n{NATIVE}\n{NATIVE}", "Yes.\n", 2),
    (f"Yes. {LOOK}{WIPE}", "Yes. ", 2),
    (f"Yes\n\n  {LOOK} {LOOK}\n\n{NATIVE}", "Yes\n\n  ", 3),
    (f"I look {NATIVE}\n", "I look ", 1),
    (f"The tag {OPEN} begins it.\r\n{LOOK}\r\n{LOOK}", f"The tag {OPEN} begins it.\r\n", 2),
    (f"`{LOOK}` is a call.\n{WIPE}", f"`{LOOK}` is a call.\n", 1),
]


@pytest.mark.parametrize(("text", "words", "count"), CALLS)
def test_calls_are_read_where_models_write_them(text: str, words: str, count: int) -> None:
    assert taken(FORM, text) == f"{text}$"
    assert (parse_calls(text)[0], len(parse_calls(text)[1])) == (words, count)
    assert taken(ResponseFormat(FORM.tools, parallel=False), text) == (f"{text}$" if count == 1 else prefix(text))


def prefix(text: str) -> str:
    """A text up to where its second call would begin, as far as blanks may stand behind the first."""
    first = text.index(CLOSE) + len(CLOSE)
    rest = text[first:]
    return text[: first + len(rest) - len(rest.lstrip(BLANKS))]


pieces = st.sampled_from(
    [
        OPEN,
        OPEN,
        CLOSE,
        LOOK,
        NATIVE,
        "\n",
        " ",
        "\t",
        "{",
        "`",
        "a",
        ".",
        "Yes. ",
        "!",
        ":",
        "<tool",
        '"name"',
        "…",
        "。",
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(pieces, max_size=7).map("".join))
def test_grammar_reader_and_hold_back_agree(text: str) -> None:
    start, took = beginning(text), taken(FORM, text)
    words, calls = parse_calls(text)
    assert words == text[:start]
    assert all(call == ToolCall("look", {}) for call in calls)
    if start is None:
        assert took == f"{text}$"
    elif took == f"{text}$":
        assert calls
        assert shown_length(text, ended=True) == len(text)
    else:  # what is no whole call cannot be finished
        assert len(took) > start
    for end in range(len(text) + 1):
        shown = shown_length(text[:end], ended=False)
        assert shown <= len(words), "nobody is shown a part of a call"
        assert shown == before_calls(text[:end], ended=False)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(pieces, max_size=6).map("".join), st.sampled_from(["look", "wipe"]))
def test_no_prose_hides_a_call_on_a_line_of_its_own(words: str, name: str) -> None:
    text = f"{words}\n{format_call(name, {})}"
    rules = tool_rules("tools", ("x.tools",), {"deny": ["wipe"]})
    ((_, (score,)),) = rules.advance([(rules.start(Prompt((), (1,))), Piece(text))])
    known = [call.name for call in parse_calls(text)[1]]
    assert score == 1 or name == "look"
    assert name in known or score == 1 or beginning(words) is not None


@pytest.mark.parametrize(
    "words", ["", "Look ", f"{OPEN} ", "a `", "```\n", f"Write {LOOK}", f"Yes.\n{OPEN}", "see:", f"{OPEN}{{"]
)
def test_words_of_another_model_hide_no_call(words: str) -> None:
    parts = [words, call_part("delete_file", '{"name": "a"}', "1")] if words else [call_part("delete_file", "{}", "1")]
    bound = GuardedChatModel(inner=teller(parts), policy=compiled(RULES)).bind_tools([delete_file])
    assert bound.invoke("Clean up.").tool_calls == []


@pytest.mark.slow
def test_a_tool_that_is_named_is_called_once_unless_more_was_asked_for() -> None:
    read_twice = list(format_call("read_file", {"name": "a"}) * 2)
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): read_twice}), seed=7)
    dict_choice = {"type": "function", "function": {"name": "read_file"}}
    for choice in ("read_file", dict_choice):
        assert len(called(model.bind_tools(TOOLS, tool_choice=choice).invoke("Go."))) == 1
        more = model.bind_tools(TOOLS, tool_choice=choice, parallel_tool_calls=True)
        assert len(called(more.invoke("Go."))) == 2
    assert len(called(model.bind_tools(TOOLS, tool_choice="any").invoke("Go."))) == 2
    assert form_of(TOOLS, "read_file", None, None).parallel is False


def test_more_calls_than_one_answer_may_hold_are_not_offered() -> None:
    assert taken(FORM, LOOK * 8) == f"{LOOK * 8}$"
    assert taken(FORM, LOOK * 9) == LOOK * 8


@pytest.mark.parametrize("choice", ["auto", "any"])
def test_a_character_of_several_tokens_stands_in_an_argument(choice: str) -> None:
    before, behind = format_call("read_file", {"name": "a\N{GRINNING FACE}b"}).split("\N{GRINNING FACE}")
    pieces = [*before, *(bytes([byte]) for byte in "\N{GRINNING FACE}".encode()), *behind]
    model = ChatIGGuardrail(guardrail=scripted_guardrail({(0, 0): pieces}), seed=7)
    answer = model.bind_tools(TOOLS, tool_choice=choice).invoke("Go.")
    assert called(answer) == [("read_file", {"name": "a\N{GRINNING FACE}b"})]
