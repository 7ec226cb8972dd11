"""A chat template's rendering of a conversation, and which parts of it are the messages' own words.

Each text of a message is put between two fences that no text can hold: its words, and names and texts of its calls.
White space at their ends stays outside, so that a template that trims them trims as ever; without the fences, the text
is what the template makes of the bare messages.

A template is a program that came with a model's files, so its work is bounded. Steps are counted, and not seconds: the
same conversation is refused on every machine or on none.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from types import FrameType
from typing import Any

from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.types import ToolFormat


class TemplateRefusal(RequestError):
    """A chat template does not take a conversation as it is arranged."""


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Characters `start` to `stop` of a rendering, which are text number `number` of all texts of the messages."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Rendering:
    """The text of a prompt, and the spans of the messages' texts in it, in order."""

    text: str
    spans: tuple[TextSpan, ...]

    def frame(self) -> list[str]:
        """What the template itself wrote: before the first span, between two, and behind the last."""
        edges = [0, *(edge for span in self.spans for edge in (span.start, span.stop)), len(self.text)]
        return [self.text[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True)]


LONGEST_TEMPLATE = 262_144  # characters; the longest that models have are some tens of thousands


def template_of(tokenizer: Any) -> str:
    """The text of a tokenizer's chat template, of all where it has several; "" where it has none.

    Raises ModelError for one that is too long to be a template.
    """
    given = tokenizer.chat_template or ""
    text = "\n".join(given.values()) if isinstance(given, dict) else str(given)
    if len(text) > LONGEST_TEMPLATE:
        raise ModelError(
            f"the model's chat template has {len(text):,} characters",
            where=str(tokenizer.name_or_path),
            why=f"it is a program that came with the model, and none that serves has over {LONGEST_TEMPLATE:,}",
            fix="use a model with a sound template",
        )
    return text


def apply_template(
    tokenizer: Any,
    conversation: Sequence[Mapping[str, Any]],
    prompt: bool,
    switches: Mapping[str, bool | str] | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """What a template makes of a conversation. prompt: up to where an answer begins; switches: what else it is told.

    Raises ModelError if it takes more steps than any sound one does, and whatever the template raises.
    """
    told: dict[str, Any] = {**(switches or {}), **({"tools": list(tools)} if tools else {})}
    try:
        with limited_steps(MOST_STEPS):
            text: str = tokenizer.apply_chat_template(
                list(conversation), tokenize=False, add_generation_prompt=prompt, **told
            )
    except TooManySteps as error:
        raise ModelError(
            f"the model's chat template takes more than {MOST_STEPS:,} steps",
            where="chat template",
            why="it is a program that came with the model, and this one may never end",
            fix="use a model with a sound template",
        ) from error
    return text


def render(
    tokenizer: Any,
    messages: Sequence[TemplateMessage],
    tools: Sequence[Mapping[str, Any]] = (),
    format: ToolFormat | None = None,
    switches: Mapping[str, bool | str] | None = None,
    key: str | None = None,
) -> Rendering:
    """Messages up to where the answer begins, by a template that is told of tools, as OpenAI's dicts.

    switches  what else the template is told
    key       the name under which it takes thoughts, which it may leave out

    Raises TemplateRefusal if the template raises an error, or leaves out what a message says or which tool it calls;
    ModelError if it takes more steps than any sound one does.
    """
    nonce, numbers = secrets.token_hex(8), count()
    fenced = [message.mapped(lambda text: _fenced(text, next(numbers), nonce)) for message in messages]
    try:
        said = apply_template(tokenizer, [as_given(one, format, key) for one in fenced], True, switches, tools)
    except ModelError:
        raise
    except Exception as error:  # templates are programs of their own and raise what they like
        raise TemplateRefusal(
            f"the model's chat template refuses this conversation: {error}",
            where="messages",
            why="the template decides which roles there are and how they may follow each other",
            fix="reorder or rename the turns as the model's card asks",
        ) from error
    rendering = _without_fences(said, nonce)
    kept = {span.number for span in rendering.spans}
    lost = next((role for number, role, text in _needed(messages) if text.strip() and number not in kept), None)
    if lost is not None or nonce in rendering.text:
        raise TemplateRefusal(
            f"the model's chat template leaves out what the {lost or 'assistant'} says",
            where="messages",
            why="the model would answer without having read it",
            fix="say it in a message of the user",
        )
    return rendering


def as_given(message: TemplateMessage, format: ToolFormat | None, key: str | None) -> dict[str, Any]:
    """A message as a template takes it. key: the name of its thought"""
    given: dict[str, Any] = {"role": message.role, "content": message.text}
    if key is not None and message.thought:
        given[key] = message.thought
    if message.calls and format is not None:
        given["tool_calls"] = [
            {
                "type": "function",
                "id": call.id or "",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False) if format.packed else call.arguments,
                },
            }
            for call in message.calls
        ]
    if message.role == "tool" and message.call_id:
        given |= {"tool_call_id": message.call_id, "name": message.tool}
    return given


def _needed(messages: Sequence[TemplateMessage]) -> Iterator[tuple[int, str, str]]:
    """Number, role and text of what may not be left out: the words of messages, and the names of calls."""
    number = 0
    for message in messages:
        texts = message.texts()
        yield number, message.role, texts[0]
        place = number + 3
        for call in message.calls:
            yield place, message.role, call.name
            place += len(TemplateMessage("assistant", "", calls=(call,)).texts()) - 3
        number += len(texts)


def _fenced(text: str, number: int, nonce: str) -> str:
    words = text.strip()
    if not words:
        return text
    start = text.index(words)
    opening, closing = f"\ufdd0{nonce}.{number}\ufdd1", f"\ufdd0{nonce}\ufdd1"
    return f"{text[:start]}{opening}{words}{closing}{text[start + len(words) :]}"


def _without_fences(fenced: str, nonce: str) -> Rendering:
    """Fences that have lost their other half are dropped, so the words between them are the template's own doing."""
    parts = re.split(f"\ufdd0{nonce}(?:\\.(\\d+))?\ufdd1", fenced)
    text, spans = parts[0], []
    pieces, length = [parts[0]], len(text)
    opened: int | None = None
    for number, part in zip(parts[1::2], parts[2::2], strict=True):
        if number is None and opened is not None:
            spans.append(TextSpan(opened, length - len(pieces[-1]), length))
        opened = None if number is None else int(number)
        pieces.append(part)
        length += len(part)
    return Rendering("".join(pieces), tuple(spans))


MOST_STEPS = 5_000_000  # a second or two; a thousand messages take some hundred thousand
COMPILED = "<template>"  # what Jinja calls the file of a template's code


class TooManySteps(Exception):
    """A template has taken all the steps that it may."""


@contextmanager
def limited_steps(most: int) -> Iterator[None]:
    """Raises TooManySteps inside as soon as this thread has taken `most` steps: calls, and lines of templates.

    A debugger's trace function rests meanwhile.
    """
    left = most

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooManySteps
        return step if frame.f_code.co_filename == COMPILED else None

    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(before)
