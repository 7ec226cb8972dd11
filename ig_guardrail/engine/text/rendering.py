"""A chat template's rendering of a conversation, and which parts of it are the messages' own words.

Each message's words are put between two fences that no text can hold. White space at their ends stays outside, so that
a template that trims them trims as ever; without the fences, the text is what the template makes of the bare messages.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.engine.text.step_limit import MOST_STEPS, TooManySteps, limited_steps
from ig_guardrail.errors import ModelError, RequestError


class TemplateRefusal(RequestError):
    """A chat template does not take a conversation as it is arranged."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `stop` of a rendering, which are the words of message number `message`."""

    message: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Rendering:
    """The text of a prompt, and the spans of the messages' words in it, in order."""

    text: str
    spans: tuple[Span, ...]

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
    tokenizer: Any, conversation: Sequence[Mapping[str, str]], prompt: bool, switches: Mapping[str, bool] | None = None
) -> str:
    """What a template makes of a conversation. prompt: up to where an answer begins; switches: what else it is told.

    Raises ModelError if it takes more steps than any sound one does, and whatever the template raises.
    """
    told = dict(tokenize=False, add_generation_prompt=prompt, **(switches or {}))
    try:
        with limited_steps(MOST_STEPS):
            text: str = tokenizer.apply_chat_template(conversation, **told)
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
    messages: Sequence[tuple[str, str]],
    switches: Mapping[str, bool] | None = None,
    beside: Mapping[int, tuple[str, str]] | None = None,
) -> Rendering:
    """Messages, each a role and a text, up to where the answer begins.

    switches  what else the template is told
    beside    by message, the name and the text of what it holds beside its own words, and the template may leave out;
              the spans of these texts have the numbers behind those of the messages, in their order

    Raises TemplateRefusal if the template raises an error, or leaves the words of a message out; ModelError if it takes
    more steps than any sound one does.
    """
    nonce = secrets.token_hex(8)
    conversation = [{"role": role, "content": _fenced(text, i, nonce)} for i, (role, text) in enumerate(messages)]
    for number, (message, (key, text)) in enumerate((beside or {}).items(), len(messages)):
        conversation[message][key] = _fenced(text, number, nonce)
    try:
        fenced = apply_template(tokenizer, conversation, True, switches)
    except ModelError:
        raise
    except Exception as error:  # templates are programs of their own and raise what they like
        raise TemplateRefusal(
            f"the model's chat template refuses this conversation: {error}",
            where="messages",
            why="the template decides which roles there are and how they may follow each other",
            fix="reorder or rename the turns as the model's card asks",
        ) from error
    rendering = _without_fences(fenced, nonce)
    kept = {span.message for span in rendering.spans}
    lost = next((i for i, (_, text) in enumerate(messages) if text.strip() and i not in kept), None)
    if lost is not None:
        raise TemplateRefusal(
            f"the model's chat template leaves out what the {messages[lost][0]} says",
            where="messages",
            why="the model would answer without having read it",
            fix="say it in a message of the user",
        )
    return rendering


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
            spans.append(Span(opened, length - len(pieces[-1]), length))
        opened = None if number is None else int(number)
        pieces.append(part)
        length += len(part)
    return Rendering("".join(pieces), tuple(spans))
