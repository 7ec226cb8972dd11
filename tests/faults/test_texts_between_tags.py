"""Texts that stand between tags keep their schema as they are read, and names that a format cannot hold are in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ig_guardrail.text.calls import ResponseFormat, Tool, parse_calls
from ig_guardrail.types import OUR_FORMAT, CallNotation, ToolFormat
from tests.faults.schema_answers import BYTES, GRAMMARS, babbled

TAGS = ToolFormat(
    open="<tool_call>\n<function=",
    middle=">\n",
    close="</function>\n</tool_call>",
    values="tags",
    keys=(),
    tag=("<parameter=", ">\n", "\n</parameter>\n"),
)
BARS = ToolFormat(
    open="<call>\n<of=", middle=">\n", close="</of>\n</call>", values="tags", keys=(), tag=("<|", "=", "|>")
)
TWICE = ToolFormat(
    open="<call>\n<of=", middle=">\n", close="</of>\n</call>", values="tags", keys=(), tag=("arg:", "=", ";;\n")
)
PYTHON = ToolFormat(begin="[", open="", middle="(", close=")", separator=", ", end="]", values="python", keys=())
NAMES = ToolFormat(open="[TOOL_CALLS]", middle="[ARGS]", close="", separator="", keys=())
ROOM = 150
TEXT: dict[str, Any] = {"type": "string"}


def taking(part: Any, key: str = "a") -> Tool:
    return Tool("look", "Look.", {"type": "object", "properties": {key: part}, "required": [key]})


@dataclass(frozen=True)
class InFormat:
    """Calls of one tool as a model of a format writes them."""

    tool: Tool
    format: ToolFormat

    @property
    def form(self) -> ResponseFormat:
        return ResponseFormat((self.tool,), "any", False)

    @property
    def notation(self) -> CallNotation:
        return self.form.notation(self.format)

    def grammar(self, room: int) -> str | None:
        return self.form.grammar(room, self.format)

    def takes(self, value: str) -> bool:
        """Whether a text may be the argument `a`, in tags."""
        state = GRAMMARS.compiled(self.grammar(ROOM) or "").after(())
        for token in BYTES.ids(f"<tool_call>\n<function=look>\n<parameter=a>\n{value}\n</function>\n</tool_call>"):
            if not state.allowed()[token]:
                return False
            state.take(token)
        return bool(state.allowed()[BYTES.end])


@pytest.mark.parametrize(
    "part",
    [
        {"pattern": "^[a-z]+$", "maxLength": 3},
        {"pattern": "^[a-z]*$", "minLength": 5, "maxLength": 6},
        {"pattern": "^[a-z ]+$", "minLength": 90},
        {"format": "date"},
        {"format": "email", "maxLength": 12},
        {"minLength": 3, "maxLength": 4},
        {"minLength": 4},
        {"minLength": 1, "maxLength": 1},
        {"minLength": 1, "maxLength": 200},
        {"pattern": r"^cost\$"},
        {"pattern": "^a$|^b$"},
        {"pattern": "^a|b$"},
        {"pattern": "^(a|b)$"},
        {"pattern": "^[/]\\/x/$"},
        {"pattern": "^a\n[$^|(]$"},
        {"pattern": "^x.*y$", "minLength": 4},
        {"pattern": r"^a\s$"},
    ],
)
@pytest.mark.slow
@pytest.mark.parametrize("format", [TAGS, PYTHON])
def test_what_is_written_keeps_its_schema(part: dict[str, Any], format: ToolFormat) -> None:
    calls = InFormat(taking({**TEXT, **part}), format)
    for seed in range(2):
        text, finish = babbled(calls, seed, ROOM)  # type: ignore[arg-type]  # it has a grammar, which is all
        _, (call,) = parse_calls(text, notation=calls.notation)
        assert finish == "stop"
        Draft202012Validator(calls.tool.parameters).validate(call.arguments)


@pytest.mark.parametrize(
    ("part", "text", "right"),
    [
        ({}, "x\n</parameter>", True),
        ({}, "x</parameter>", True),
        ({}, "</parameter>", True),
        ({}, "x</parameter> and more\n</parameter>", False),
        ({}, "<p>x</p>\n</param\n</parameter>", True),
        ({"minLength": 4}, "abcd\n</parameter>", True),
        ({"minLength": 4}, "<html>\n</parameter>", True),
        ({"minLength": 4}, "abc\n</parameter>", False),
        ({"minLength": 4}, "abc\n</parameter>\nmore\n</parameter>", False),
        ({"minLength": 4}, "<</parameter>more\n</parameter>", False),
        ({"minLength": 4, "maxLength": 5}, "abcde\n</parameter>", True),
        ({"minLength": 4, "maxLength": 5}, "abcdef\n</parameter>", False),
        ({"pattern": "^[a-z]+$", "maxLength": 3}, "abc\n</parameter>", True),
        ({"pattern": "^[a-z]+$", "maxLength": 3}, "abcd\n</parameter>", False),
    ],
)
def test_a_text_ends_at_the_first_end_as_who_reads_it_has_it(part: dict[str, Any], text: str, right: bool) -> None:
    calls = InFormat(taking({**TEXT, **part}), TAGS)
    assert calls.notation.format == TAGS
    assert calls.takes(f"{text}\n") is right


@pytest.mark.parametrize("format", [TAGS, BARS, TWICE])
@pytest.mark.parametrize("part", [{"minLength": 4}, {"minLength": 3, "maxLength": 4}, {"pattern": "^[a-z]+$"}])
def test_so_it_is_whatever_the_tags_are(part: dict[str, Any], format: ToolFormat) -> None:
    calls = InFormat(taking({**TEXT, **part}), format)
    assert calls.notation.format == format
    behind = format.tag[2].strip()
    for text in ("abc", f"a{behind}bcd", f"abc{behind}", f"{behind[0]}{behind}xyz", "abcd", f"{behind[:1]}pqr"):
        written = f"{format.open}look{format.middle}{format.tag[0]}a{format.tag[1]}{text}{format.tag[2]}{format.close}"
        state = GRAMMARS.compiled(calls.grammar(ROOM) or "").after(())
        taken = all(state.allowed()[token] and state.take(token) is None for token in BYTES.ids(written))
        _, made = parse_calls(written, notation=calls.notation)
        whole = bool(made) and made[0].arguments == {"a": text}
        assert not taken or (whole and Draft202012Validator(calls.tool.parameters).is_valid(made[0].arguments))
        assert taken or text != "abcd"


@pytest.mark.parametrize("key", ["a>b", " a", "a ", "a\n"])
def test_a_key_that_no_tag_holds_is_in_json(key: str) -> None:
    calls = InFormat(taking(TEXT, key), TAGS)
    assert calls.notation.format == OUR_FORMAT
    text, _ = babbled(calls, 1, ROOM)  # type: ignore[arg-type]
    _, (call,) = parse_calls(text, notation=calls.notation)
    assert list(call.arguments) == [key]


@pytest.mark.parametrize("format", [TAGS, PYTHON, NAMES])
@pytest.mark.parametrize("name", ["a b", 'q"t', "new\nline", "<tool_call>", "</tool_call>", "{", "{{x}}", "'", "f(x)"])
def test_a_tool_whose_name_a_format_cannot_hold_is_called_in_json(name: str, format: ToolFormat) -> None:
    calls = InFormat(Tool(name, "", taking({"type": "integer"}).parameters), format)
    text, _ = babbled(calls, 1, ROOM)  # type: ignore[arg-type]
    words, made = parse_calls(text, notation=calls.notation)
    assert (words, [call.name for call in made]) == ("", [name])


@pytest.mark.parametrize("format", [TAGS, PYTHON, NAMES])
@pytest.mark.parametrize("name", ["look", "a.b", "a-b", "mcp__x__y", "größe", "日本", "a/b", "$x"])
def test_other_names_keep_the_format_of_the_model(name: str, format: ToolFormat) -> None:
    calls = InFormat(Tool(name, "", taking({"type": "integer"}).parameters), format)
    assert calls.notation.format == format
