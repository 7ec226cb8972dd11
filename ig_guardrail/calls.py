"""Tool calls as text: how a model is told of tools, how it writes a call, and how a call is read back.

A call is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the notation that Hermes and Qwen models were
trained on. Calls stand at the end of an answer, after any words. A call is a unit: nobody is shown a part of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ig_guardrail.schemas import closed as closed
from ig_guardrail.schemas import followable

OPEN, CLOSE = "<tool_call>", "</tool_call>"
MOST = 8  # calls in one answer

Choice: TypeAlias = Literal["auto", "any", "none"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call; `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A whole call, as it was written."""

    name: str
    arguments: Mapping[str, Any]


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


def written(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as a model writes it."""
    content = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False, default=str)
    return f"{OPEN}{content}{CLOSE}"


def read(text: str) -> tuple[str, tuple[Call, ...]]:
    """The words of an answer, and the calls behind them. What is no whole call is left out, and so is all behind it."""
    words, calls, _ = _parts(text)
    return words, calls


def unread(text: str) -> str:
    """What stands behind the last whole call of an answer, or behind its words if it has none."""
    _, _, place = _parts(text)
    return text[place:]


def _parts(text: str) -> tuple[str, tuple[Call, ...], int]:
    """Words, calls, and where the last of them ends."""
    words, opened, _ = text.partition(OPEN)
    calls: list[Call] = []
    place = len(words)
    while opened and text.startswith(OPEN, place):
        found = _call(text, place + len(OPEN))
        if found is None:
            break
        call, place = found
        calls.append(call)
    return words, tuple(calls), place


def _call(text: str, start: int) -> tuple[Call, int] | None:
    """The call whose JSON begins at `start`, and where the next may begin."""
    try:
        content, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(content, dict) and text.startswith(CLOSE, end)):
        return None
    name, arguments = content.get("name"), content.get("arguments")
    if not (isinstance(name, str) and isinstance(arguments, dict)):
        return None
    return Call(name, arguments), end + len(CLOSE)


def _body(tools: Sequence[Tool], room: int) -> str:
    """One alternative for each tool: its name as it is, its arguments by their schema."""
    ways = []
    for tool in tools:
        head = json.dumps({"name": tool.name}, ensure_ascii=False)[:-1] + ', "arguments": '
        ways.append(f'{json.dumps(head, ensure_ascii=False)} %json {_schema(tool.parameters, room)} "}}"')
    return "body: " + "\n    | ".join(ways)


def _schema(schema: Mapping[str, Any], room: int) -> str:
    return json.dumps(followable(schema, room))


def _described(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
