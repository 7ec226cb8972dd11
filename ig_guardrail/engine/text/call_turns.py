"""Turns as a template takes them that writes calls and results of tools itself: calls apart from words, with ids."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.text.calls import parse_message
from ig_guardrail.types import Message, ToolCall, ToolFormat

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def call_turns(turns: Sequence[Message], format: ToolFormat) -> Iterator[TemplateMessage]:
    """The turns of a conversation; results are named after their calls, or, unnamed, taken in the order of these."""
    open_calls: list[ToolCall] = []
    for number, turn in enumerate(turns):
        if turn.role == "assistant":
            said = turn.said or (parse_message(turn.text),)
            words = "\n\n".join(message.words for message in said if message.words)
            made = [call for message in said for call in message.calls]
            open_calls = [
                ToolCall(call.name, call.arguments, id_of(call.id or f"call {number} {place}", format))
                for place, call in enumerate(made)
            ]
            if format.channel and words and open_calls:  # a call is a message of its own there
                yield TemplateMessage("assistant", words)
                words = ""
            yield TemplateMessage("assistant", words, thought=turn.thought, calls=tuple(open_calls))
        elif turn.role == "tool":
            asked = id_of(turn.call_id, format) if turn.call_id else None
            call = next((one for one in open_calls if one.id == asked), open_calls[0] if open_calls else None)
            if call is None:
                yield TemplateMessage("tool", turn.text, call_id=asked or id_of("result", format))
                continue
            open_calls = [one for one in open_calls if one is not call]
            yield TemplateMessage("tool", turn.text, call_id=call.id or "", tool=call.name)
        else:
            yield TemplateMessage(turn.role, turn.text, trusted=turn.role == "system")


def one_call_a_turn(parts: Sequence[TemplateMessage]) -> Iterator[TemplateMessage]:
    """The same with a turn for each of several calls, and its result behind it."""
    rest = deque(parts)
    while rest:
        part = rest.popleft()
        if len(part.calls) < 2:
            yield part
            continue
        results: list[TemplateMessage] = []
        while rest and rest[0].role == "tool":
            results.append(rest.popleft())
        said = part
        for call in part.calls:
            yield replace(said, calls=(call,))
            said = TemplateMessage("assistant", "")
            result = next((one for one in results if one.call_id == call.id), None)
            if result is not None:
                results = [one for one in results if one is not result]
                yield result
        yield from results


def id_of(given: str, format: ToolFormat) -> str:
    """An id as the template takes it: as it is where it is a plain name, or as many letters and digits as demanded."""
    size = format.id_size or 24
    if (_PLAIN if format.id_size == 0 else re.compile(f"[A-Za-z0-9]{{{size}}}")).fullmatch(given):
        return given
    value, letters = int.from_bytes(hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()), ""
    for _ in range(size):
        value, letter = divmod(value, len(_LETTERS))
        letters += _LETTERS[letter]
    return letters
