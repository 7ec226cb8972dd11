"""Tool calls as text: how a model is told of tools, how it writes a call, and how a call is read back.

A call is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the notation that Hermes and Qwen models were
trained on. Calls stand at the end of an answer, after any words. A call is a unit: nobody is shown a part of one.

Calls begin at the first `<tool_call>` with a brace behind it; words may mention the marker. Where it is known how much
of a text is words, since calls came apart from them, nothing in the words is taken for a call. White space may stand
between a call's parts and between calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ig_guardrail.types import Call, Utterance

OPEN, CLOSE = "<tool_call>", "</tool_call>"
MOST = 8  # calls in one answer
LAYOUT: Mapping[str, Any] = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

SHORTEST_LIMIT = 40  # characters
CHARACTERS = 2  # of texts without a limit, for each token of an answer; a token has about four
_LIMITED = {"maxLength", "enum", "const", "pattern", "format"}
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")  # of schemas, by name
_CHOICES = ("anyOf", "oneOf")
_LISTS = (*_CHOICES, "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not", "if", "then", "else", "contains")

_FIRST = re.compile(rf"{re.escape(OPEN)}\s*\{{")
_SPACE = re.compile(r"\s*")

Choice: TypeAlias = Literal["auto", "any", "none"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call; `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer may be: words, calls of `tools`, or JSON of `schema`.

    choice    "auto": words, or calls after words; "any": calls and nothing else; "none": words, and no call
    parallel  whether one answer may hold several calls
    schema    with one, JSON of that schema takes the place of words
    """

    tools: tuple[Tool, ...] = ()
    choice: Choice = "auto"
    parallel: bool = True
    schema: Mapping[str, Any] | None = None

    def grammar(self, room: int) -> str | None:
        """The form as a Lark text; None where every answer has it.

        room: tokens that an answer may have. Texts whose schema sets no limit get one, so that JSON can end within it.
        """
        if self.tools and self.choice == "none" and self.schema is None:
            opening = OPEN.replace("<", "[<]")
            return f"start: WORDS\nWORDS: /(?s:.*)/ & ~/(?s:.*){opening}(?s:.*)/\n"
        if not self.callable:
            return None if self.schema is None else f"start: %json {_schema(self.schema, room)}\n"
        calls = f"rest ({json.dumps(OPEN)} rest){{0,{MOST - 1}}}" if self.parallel else "rest"
        only = f"{json.dumps(OPEN)} {calls}"
        ways = {"any": only, "auto": f"words | head {calls}"}
        start = ways[self.choice] if self.schema is None or self.choice == "any" else f"json | {only}"
        rules = [f"start: {start}", f"rest: body {json.dumps(CLOSE)}", _body(self.tools, room)]
        if self.schema is not None:
            rules.append(f"json: %json {_schema(self.schema, room)}")
        elif self.choice == "auto":
            rules += ["words: /(?s:.*)/", f"head[suffix={json.dumps(OPEN)}]: /(?s:.*)/"]
        return "\n".join(rules) + "\n"

    @property
    def callable(self) -> tuple[Tool, ...]:
        """The tools that an answer may call."""
        return () if self.choice == "none" else self.tools

    def instructions(self) -> str:
        """What a model is told of the form; "" where there is nothing to tell."""
        parts = []
        if self.callable:
            listed = "\n".join(json.dumps(_described(tool), ensure_ascii=False) for tool in self.tools)
            example = f'{OPEN}{{"name": <name>, "arguments": <arguments as JSON>}}{CLOSE}'
            duty = "Call one of them now" if self.choice == "any" else "To use one, end your answer with a call"
            parts.append(f"You have these tools, as JSON Schema:\n{listed}\n{duty}, written as\n{example}")
        if self.schema is not None:
            shape = json.dumps(self.schema, ensure_ascii=False)
            parts.append(f"Answer with JSON that follows this JSON Schema:\n{shape}")
        return "\n\n".join(parts)


def written(name: str, arguments: Mapping[str, Any], id: str | None = None) -> str:
    """A call as a model writes it. id: a name of the call that others are told, and that so is part of what is said."""
    named = {} if id is None else {"id": id}
    content = json.dumps({"name": name, "arguments": arguments, **named}, ensure_ascii=False, default=str)
    return f"{OPEN}{content}{CLOSE}"


def rendered(said: Utterance) -> str:
    """A message of the assistant as one text, in the form in which it is charged."""
    return said.words + "".join(written(call.name, call.arguments) for call in said.calls)


def read(text: str, words: int | None = None) -> tuple[str, tuple[Call, ...]]:
    """The words of an answer, and the calls behind them. What is no whole call is left out, and so is all behind it.

    words: how many characters are words, where that is known
    """
    spoken, calls, _ = _parts(text, words)
    return spoken, calls


def utterance(text: str, words: int | None = None) -> Utterance:
    """An answer as those who get it take it: where no call in it is whole, all of it is words."""
    spoken, calls = read(text, words)
    return Utterance(spoken, calls) if calls else Utterance(text)


def unread(text: str) -> str:
    """What stands behind the last whole call of an answer, or behind its words if it has none."""
    _, _, place = _parts(text, None)
    return text[place:]


def first_call(text: str) -> int:
    """Where the calls of a text begin; at its end, if there are none."""
    found = _FIRST.search(text)
    return len(text) if found is None else found.start()


def before_calls(text: str) -> int:
    """How many characters of a text that may go on are words for certain: a call may begin at its very end."""
    found = _FIRST.search(text)
    if found is not None:
        return found.start()
    bare = len(text.rstrip())
    if text.endswith(OPEN, 0, bare):
        return bare - len(OPEN)
    return next(
        (len(text) - n for n in range(min(len(OPEN) - 1, len(text)), 0, -1) if text.endswith(OPEN[:n])), len(text)
    )


def call_in(source: str) -> Call | None:
    """The call that a source with its markers is; None if it is none."""
    found = _call(source, 0)
    return found[0] if found is not None and found[1] == len(source) else None


def _parts(text: str, words: int | None) -> tuple[str, tuple[Call, ...], int]:
    """Words, calls, and where the last of them ends."""
    place = first_call(text) if words is None else words
    spoken = text[:place]
    calls: list[Call] = []
    while (found := _call(text, place)) is not None:
        call, place = found
        calls.append(call)
    return spoken, tuple(calls), place


def _call(text: str, start: int) -> tuple[Call, int] | None:
    """The call that begins at `start`, white space aside, and where it ends."""
    opened = _after_space(text, start)
    if not text.startswith(OPEN, opened):
        return None
    try:
        content, end = json.JSONDecoder().raw_decode(text, _after_space(text, opened + len(OPEN)))
    except (ValueError, RecursionError):
        return None
    closed = _after_space(text, end)
    if not (isinstance(content, dict) and text.startswith(CLOSE, closed)):
        return None
    name, arguments, id = (content.get(key) for key in ("name", "arguments", "id"))
    if not (isinstance(name, str) and isinstance(arguments, dict)):
        return None
    return Call(name, arguments, id if isinstance(id, str) else None), closed + len(CLOSE)


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


def _body(tools: Sequence[Tool], room: int) -> str:
    """One alternative for each tool: its name as it is, its arguments by their schema."""
    ways = []
    for tool in tools:
        head = json.dumps({"name": tool.name}, ensure_ascii=False)[:-1] + ', "arguments": '
        ways.append(f'{json.dumps(head, ensure_ascii=False)} %json {_schema(tool.parameters, room)} "}}"')
    return "body: " + "\n    | ".join(ways)


def _schema(schema: Mapping[str, Any], room: int) -> str:
    ending = closed(schema)
    endless = list(_endless(ending))
    longest = max(SHORTEST_LIMIT, CHARACTERS * room // max(1, len(endless)))
    for text in endless:
        text["maxLength"] = max(longest, text.get("minLength", 0))
    return json.dumps({**ending, "x-guidance": dict(LAYOUT)})


def _endless(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a schema that are texts of any length."""
    kind = schema.get("type")
    text = kind == "string" or (isinstance(kind, list) and "string" in kind)
    if text and not _LIMITED & schema.keys():
        yield schema
    for _, part in _inner(schema):
        yield from _endless(part)


def closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a JSON Schema in which objects have no keys but those it names, unless it says otherwise.

    One that joins schemas by `allOf` is left as it is: its parts name each other's keys.
    """
    text = json.dumps(schema)
    copied: dict[str, Any] = json.loads(text)
    if '"allOf"' not in text:
        _close(copied)
    return copied


def _close(schema: dict[str, Any], beside_others: bool = False) -> None:
    """beside_others: the schema is one of several for an object that has properties of its own."""
    named = isinstance(schema.get("properties"), dict)
    for key, part in _inner(schema):
        _close(part, beside_others=named and key in _CHOICES)
    if named and not beside_others and not {*_CHOICES, "additionalProperties", "patternProperties"} & schema.keys():
        schema["additionalProperties"] = False


def _inner(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schemas inside a schema, each with the key under which it stands."""
    found: list[tuple[str, Any]] = []
    for key in _MAPS:
        found += [(key, part) for part in (schema[key].values() if isinstance(schema.get(key), dict) else ())]
    for key in _LISTS:
        found += [(key, part) for part in (schema[key] if isinstance(schema.get(key), list) else ())]
    found += [(key, schema.get(key)) for key in _SINGLE]
    return ((key, part) for key, part in found if isinstance(part, dict))


def _described(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
