"""Tool calls as text: how a model is told of tools, how it writes a call, and how a call is read back.

How calls are written is the request's `CallNotation`, as its model's chat template has them. Where a template has no
form of its own, and in all texts that are only judged, a call is `<tool_call>{"name": ..., "arguments":
{...}}</tool_call>`, the notation that Hermes and Qwen models were trained on. Calls stand at the end of an answer,
after any words; where the first begins is for `call_notation` to say. A call is a unit: nobody is shown a part of one.

Where it is known how much of a text is words, since calls came apart from them, nothing in those is taken for a call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ig_guardrail.schemas import closed as closed
from ig_guardrail.schemas import reached_bounds
from ig_guardrail.text.call_grammar import MOST_BARE, accepted, calls_alone, no_calls, words_or_calls, writable
from ig_guardrail.text.call_notation import BLANKS, OURS, before_calls, first_head, spelled
from ig_guardrail.text.call_notation import CLOSE as CLOSE
from ig_guardrail.text.call_notation import OPEN as OPEN
from ig_guardrail.text.call_reading import BEGINNING, begun_name, behind_all, read_call, read_to_end
from ig_guardrail.text.call_values import write_arguments
from ig_guardrail.types import (
    OUR_FORMAT,
    AssistantMessage,
    CallNotation,
    Message,
    ToolCall,
    ToolFormat,
    with_system_text,
)
from ig_guardrail.types import Tool as Tool

ToolChoice: TypeAlias = Literal["auto", "any", "none"]

GIVE_IT, GO_ON = "Now give that in the form that was asked for.", "Go on."  # what follows a last word of the assistant


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

    def notation(self, format: ToolFormat = OUR_FORMAT) -> CallNotation:
        """How calls are written by a model of that format; in ours, where a tool's arguments cannot be."""
        if not all(writable(tool, format) for tool in (*self.tools, *self.untold)):
            format = OUR_FORMAT
        bare = self.choice == "auto" and self.schema is None and len(self.tools) + len(self.untold) <= MOST_BARE
        return CallNotation(format, self.callable, () if self.choice == "none" else self.untold, bare)

    def grammar(self, room: int, format: ToolFormat = OUR_FORMAT) -> str | None:
        """The form as a Lark text; None where every answer has it.

        room: tokens that an answer may have. Texts whose schema sets no limit get one, so that JSON can end within it.
        """
        notation = self.notation(format)
        if self.tools and self.choice == "none" and self.schema is None:
            return no_calls(notation.format, self.tools)
        if not self.callable:
            return None if self.schema is None else calls_alone(notation, (), False, self.schema, room)
        if self.choice == "auto" and self.schema is None:
            return words_or_calls(notation, self.parallel, room)
        tools = (*self.tools, *self.untold) if self.choice == "auto" else self.callable
        schema = None if self.choice == "any" else self.schema
        return calls_alone(notation, tools, self.parallel, schema, room)

    def bounded(self, text: str, room: int, format: ToolFormat = OUR_FORMAT) -> tuple[str, ...]:
        """JSON pointers of what may have been ended by the room in a whole answer that was written for `room` tokens.

        Those in the arguments of a call begin with `/calls/0/arguments`.
        """
        called = {tool.name: tool for tool in self.callable}
        calls = parse_calls(text, notation=self.notation(format))[1] if called else ()
        if calls:
            return tuple(
                f"/calls/{at}/arguments{pointer}"
                for at, call in enumerate(calls)
                if call.name in called
                for pointer in reached_bounds(accepted(called[call.name]), room, call.arguments)
            )
        if self.schema is None:
            return ()
        try:
            return reached_bounds(self.schema, room, json.loads(text))
        except (ValueError, RecursionError):  # no whole value
            return ()

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

    def instructions(self, format: ToolFormat = OUR_FORMAT) -> str:
        """What a model is told of the form in words; "" where there is nothing to tell. format: of its chat template"""
        parts = []
        if self.callable and not self.notation(format).format.native:
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


def with_instructions(form: ResponseFormat, turns: tuple[Message, ...], format: ToolFormat) -> tuple[Message, ...]:
    """A conversation whose model is told of the form, as far as its chat template will not tell of it.

    A last turn of the assistant begins no answer that has a form: it was said, and the model goes on from there.
    """
    said = len(turns) > 1 and turns[-1].role == "assistant" and bool(turns[-1].text)
    if said and (form.schema is not None or form.callable):
        whole = form.schema is not None or form.choice == "any"
        turns = (*turns, Message("user", GIVE_IT if whole else GO_ON))
    return with_system_text(turns, form.instructions(format))


def format_call(name: str, arguments: Mapping[str, Any], id: str | None = None) -> str:
    """A call as text of ours. id: a name of the call that others are told, and that so is part of what is said."""
    named = {} if id is None else {"id": id}
    content = json.dumps({"name": name, "arguments": arguments, **named}, ensure_ascii=False, default=str)
    return f"{OPEN}{content}{CLOSE}"


def format_calls(calls: Sequence[ToolCall], notation: CallNotation = OURS) -> str:
    """Calls as a model writes them; each in the form of one alone, on a line of its own, where it writes only one."""
    if not calls:
        return ""
    form = notation.format
    said = [_written(call, notation) for call in calls]
    if form.separator is None:
        return "\n".join(f"{form.begin}{one}{form.end}" for one in said)
    return f"{form.begin}{form.separator.join(said)}{form.end}"


def written_to(name: str) -> str:
    """The beginning of a call of ours, up to its name."""
    return f'{OPEN}{{"name": {json.dumps(name, ensure_ascii=False)}'


def format_message(said: AssistantMessage, notation: CallNotation = OURS) -> str:
    """A message of the assistant as one text, in the form in which it is charged: calls on lines of their own."""
    return f"{said.words}\n{format_calls(said.calls, notation)}" if said.calls else said.words


def parse_calls(text: str, words: int | None = None, notation: CallNotation = OURS) -> tuple[str, tuple[ToolCall, ...]]:
    """The words of an answer, and the calls behind them. What is no whole call is left out, and so is all behind it.

    words: how many characters are words, where that is known
    """
    spoken, calls, _ = _parts(text, words, notation)
    return spoken, calls


def parse_message(text: str, words: int | None = None, notation: CallNotation = OURS) -> AssistantMessage:
    """An answer as those who get it take it: where no call in it is whole, all of it is words."""
    spoken, calls = parse_calls(text, words, notation)
    return AssistantMessage(spoken, calls) if calls else AssistantMessage(text)


def begun_call(text: str, after: int, words: int | None = None, notation: CallNotation = OURS) -> str | None:
    """The name of the first call behind `after` characters of an answer that is cut off: "" if even that is cut off.

    words: how many characters are words, where that is known
    None if no call begins there.
    """
    start = before_calls(text, ended=True, notation=notation) if words is None else words
    rest = text[max(after, start) :]
    if not rest[behind_all(rest, 0, _format_of(text, words, notation)) if after > start else 0 :].strip(BLANKS):
        return None
    return begun_name(rest, _format_of(text, words, notation)) or ""


def shown_length(text: str, ended: bool, words: int | None = None, notation: CallNotation = OURS) -> int:
    """Characters of an answer that may be shown: those before its calls and before what may become one.

    ended: the answer was cut off there; then its whole calls may be shown too, and prose that became none
    words: how many characters are words, where that is known
    """
    spoken, calls, place = _parts(text, words, notation)
    if not ended or not calls:
        return len(spoken) if words is not None else min(len(spoken), before_calls(text, ended, notation))
    return place if text[place:].strip(BLANKS) else len(text)


def first_call(text: str, notation: CallNotation = OURS) -> int:
    """Where the calls of a text begin; at its end, if there are none."""
    found = first_head(text, notation)
    return len(text) if found is None else found[0]


def _parts(text: str, words: int | None, notation: CallNotation) -> tuple[str, tuple[ToolCall, ...], int]:
    """Words, calls, and where the last of them ends."""
    place = first_call(text, notation) if words is None else words
    spoken, form = text[:place], _format_of(text, words, notation)
    calls: list[ToolCall] = []
    while (end := read_to_end(text, place, BEGINNING, form).end) is not None:
        call = read_call(text[place:end], form, notation.named)
        if call is None:
            break
        calls.append(call)
        place = end
    return spoken, tuple(calls), behind_all(text, place, form) if calls else place


def _format_of(text: str, words: int | None, notation: CallNotation) -> ToolFormat:
    """The format of an answer's calls."""
    found = first_head(text, notation) if words is None else None
    return notation.format if found is None else found[1]


def _written(call: ToolCall, notation: CallNotation) -> str:
    form = notation.format
    tool = next((tool for tool in notation.named if tool.name == call.name), None)
    return (
        f"{form.open}{spelled(call.name, form)}{form.middle}{write_arguments(call.arguments, tool, form)}{form.close}"
    )


def _described(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
