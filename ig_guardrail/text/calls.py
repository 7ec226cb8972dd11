"""Tool calls as text: how a model is told of tools, how it writes a call, and how a call is read back.

A call is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the notation that Hermes and Qwen models were
trained on, with white space between its parts as they write it. Calls stand at the end of an answer, after any words;
where the first begins is for `notation` to say. A call is a unit: nobody is shown a part of one.

Where it is known how much of a text is words, since calls came apart from them, nothing in those is taken for a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ig_guardrail.schemas import closed as closed
from ig_guardrail.schemas import followable
from ig_guardrail.text.call_notation import BEGINNING, BLANKS, before_calls, beginning
from ig_guardrail.text.call_notation import CLOSE as CLOSE
from ig_guardrail.text.call_notation import OPEN as OPEN
from ig_guardrail.types import AssistantMessage, ToolCall

MOST = 8  # calls in one answer
_ANY_TOKENS = '%llguidance {"no_forcing": true}'  # how a call is cut into tokens is the model's choice
_BLANK = r"(\r?\n[ \t\r\n]{0,7}|[ ]{1,2})?"  # between the parts of a call, and between calls
_CALLS = (
    f"OPENING: /[<]tool_call>{_BLANK}\\{{/",
    f"NEXT: /{_BLANK}[<]tool_call>{_BLANK}\\{{/",
    f"CLOSING: /{_BLANK}[<]\\/tool_call>/",
    r"BLANKS: /[ \t\r\n]{1,8}/",
    "call: body CLOSING",
)
_NAME = re.compile(rf'\s*{OPEN}\s*\{{\s*"name"\s*:\s*"([^"\\]{{0,256}})"')


ToolChoice: TypeAlias = Literal["auto", "any", "none"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call; `parameters` is the JSON Schema of its arguments, an object.

    accepted: the schema that calls follow, where that is narrower than what the model is told
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    accepted: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What an answer may be: words, calls of `tools`, or JSON of `schema`.

    choice    "auto": words, or calls after words; "any": calls and nothing else; "none": words, and no call
    parallel  whether one answer may hold several calls
    schema    with one, JSON of that schema takes the place of words
    untold    tools that a policy never lets be called: a model is not told of them. Where it may as well speak, it can
              write their names, and be judged by it; otherwise its call would be bent into one of another tool
    """

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = "auto"
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    untold: tuple[Tool, ...] = ()

    def grammar(self, room: int) -> str | None:
        """The form as a Lark text; None where every answer has it.

        room: tokens that an answer may have. Texts whose schema sets no limit get one, so that JSON can end within it.
        """
        if self.tools and self.choice == "none" and self.schema is None:
            opening = OPEN.replace("<", "[<]")
            return f"start: WORDS\nWORDS: /(?s:.*)/ & ~/(?s:.*){opening}(?s:.*)/\n"
        if not self.callable:
            return None if self.schema is None else f"start: %json {_schema(self.schema, room)}\n"
        calls = f"call (NEXT call){{0,{MOST - 1}}} BLANKS?" if self.parallel else "call BLANKS?"
        only = f"OPENING {calls}"
        ways = {"any": only, "auto": f"WORDS | begun {calls}"}
        start = ways[self.choice] if self.schema is None or self.choice == "any" else f"json | {only}"
        writable = (*self.tools, *self.untold) if self.choice == "auto" else self.callable
        rules = [_ANY_TOKENS, f"start: {start}", *_CALLS, _body(writable, room)]
        if self.schema is not None:
            rules.append(f"json: %json {_schema(self.schema, room)}")
        elif self.choice == "auto":
            rules += [f"WORDS: /(?s:.*)/ & ~/{BEGINNING}(?s:.*)/", f"begun[lazy]: /{BEGINNING}/"]
        return "\n".join(rules) + "\n"

    @property
    def callable(self) -> tuple[Tool, ...]:
        """The tools that an answer may call."""
        if self.choice == "none":
            return ()
        return (self.tools or self.untold) if self.choice == "any" else self.tools

    @property
    def barred(self) -> bool:
        """Whether a tool must be called, and none may be."""
        return self.choice == "any" and not self.tools and bool(self.untold)

    def instructions(self) -> str:
        """What a model is told of the form; "" where there is nothing to tell."""
        parts = []
        if self.callable:
            listed = "\n".join(json.dumps(_described(tool), ensure_ascii=False) for tool in self.callable)
            example = f'{OPEN}{{"name": <name>, "arguments": <arguments as JSON>}}{CLOSE}'
            duty = (
                "Call one of them now"
                if self.choice == "any"
                else "To use one, end your answer with a call on a line of its own"
            )
            parts.append(f"You have these tools, as JSON Schema:\n{listed}\n{duty}, written as\n{example}")
        if self.schema is not None:
            shape = json.dumps(self.schema, ensure_ascii=False)
            parts.append(f"Answer with JSON that follows this JSON Schema:\n{shape}")
        return "\n\n".join(parts)


def format_call(name: str, arguments: Mapping[str, Any], id: str | None = None) -> str:
    """A call as a model writes it. id: a name of the call that others are told, and that so is part of what is said."""
    named = {} if id is None else {"id": id}
    content = json.dumps({"name": name, "arguments": arguments, **named}, ensure_ascii=False, default=str)
    return f"{OPEN}{content}{CLOSE}"


def written_to(name: str) -> str:
    """The beginning of a call, up to its name."""
    return f'{OPEN}{{"name": {json.dumps(name, ensure_ascii=False)}'


def format_message(said: AssistantMessage) -> str:
    """A message of the assistant as one text, in the form in which it is charged: each call on a line of its own."""
    return said.words + "".join(f"\n{format_call(call.name, call.arguments)}" for call in said.calls)


def parse_calls(text: str, words: int | None = None) -> tuple[str, tuple[ToolCall, ...]]:
    """The words of an answer, and the calls behind them. What is no whole call is left out, and so is all behind it.

    words: how many characters are words, where that is known
    """
    spoken, calls, _ = _parts(text, words)
    return spoken, calls


def parse_message(text: str, words: int | None = None) -> AssistantMessage:
    """An answer as those who get it take it: where no call in it is whole, all of it is words."""
    spoken, calls = parse_calls(text, words)
    return AssistantMessage(spoken, calls) if calls else AssistantMessage(text)


def begun_call(text: str, after: int, words: int | None = None) -> str | None:
    """The name of the first call behind `after` characters of an answer that is cut off: "" if even that is cut off.

    words: how many characters are words, where that is known
    None if no call begins there.
    """
    rest = text[max(after, before_calls(text, ended=True) if words is None else words) :]
    named = _NAME.match(rest)
    return None if not rest.strip(BLANKS) else named[1] if named else ""


def shown_length(text: str, ended: bool, words: int | None = None) -> int:
    """Characters of an answer that may be shown: those before its calls and before what may become one.

    ended: the answer was cut off there; then its whole calls may be shown too, and prose that became none
    words: how many characters are words, where that is known
    """
    spoken, calls, place = _parts(text, words)
    if not ended or not calls:
        return len(spoken) if words is not None else min(len(spoken), before_calls(text, ended))
    return place if text[place:].strip(BLANKS) else len(text)


def first_call(text: str) -> int:
    """Where the calls of a text begin; at its end, if there are none."""
    start = beginning(text)
    return len(text) if start is None else start


def call_in(source: str) -> ToolCall | None:
    """The call that a source with its markers is; None if it is none."""
    found = _call(source, 0)
    return found[0] if found is not None and found[1] == len(source) else None


def _parts(text: str, words: int | None) -> tuple[str, tuple[ToolCall, ...], int]:
    """Words, calls, and where the last of them ends."""
    place = first_call(text) if words is None else words
    spoken = text[:place]
    calls: list[ToolCall] = []
    while (found := _call(text, place)) is not None:
        call, place = found
        calls.append(call)
    return spoken, tuple(calls), place


def _call(text: str, start: int) -> tuple[ToolCall, int] | None:
    """The call at `start`, with white space between its parts and before it, and where it ends."""
    marker = _behind_blanks(text, start)
    if not text.startswith(OPEN, marker):
        return None
    try:
        content, end = json.JSONDecoder().raw_decode(text, _behind_blanks(text, marker + len(OPEN)))
    except (ValueError, RecursionError):
        return None
    closed = _behind_blanks(text, end)
    if not (isinstance(content, dict) and text.startswith(CLOSE, closed)):
        return None
    name, arguments, id = (content.get(key) for key in ("name", "arguments", "id"))
    if not (isinstance(name, str) and isinstance(arguments, dict)):
        return None
    return ToolCall(name, arguments, id if isinstance(id, str) else None), closed + len(CLOSE)


def _behind_blanks(text: str, place: int) -> int:
    """The first place from `place` on that holds no white space."""
    while text[place : place + 1] in BLANKS and place < len(text):
        place += 1
    return place


def _body(tools: Sequence[Tool], room: int) -> str:
    """What follows the `{` of a call. One way for each tool: its name as it is, its arguments by their schema."""
    ways = []
    for tool in tools:
        schema = tool.parameters if tool.accepted is None else tool.accepted
        head = json.dumps({"name": tool.name}, ensure_ascii=False)[1:-1] + ', "arguments": '
        ways.append(f'{json.dumps(head, ensure_ascii=False)} %json {_schema(schema, room)} "}}"')
    return "body: " + "\n    | ".join(ways)


def _schema(schema: Mapping[str, Any], room: int) -> str:
    return json.dumps(followable(schema, room))


def _described(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
