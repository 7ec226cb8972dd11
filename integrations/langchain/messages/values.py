"""What messages carry beside words: values that LangChain writes out for the keys of caches, and templates tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from ig_guardrail.errors import RequestError
from ig_guardrail.text.call_values import DEEPEST


def demand_written(message: BaseMessage, index: int) -> None:
    """Raises RequestError for content, calls or fields beside them that nobody could write out."""
    where = f"messages[{index}]"
    _demand(message.content, f"{where}.content")
    _demand(message.additional_kwargs, f"{where}.additional_kwargs")
    for place, call in enumerate(message.tool_calls if isinstance(message, AIMessage) else ()):
        _demand(call["args"], f"{where}.tool_calls[{place}].args")


def _demand(value: Any, where: str) -> None:
    """Linear in the size of a value, and never deeper than `DEEPEST`."""
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, int):
            _demand_digits(part, where)
        if isinstance(part, Mapping | list | tuple):
            if depth == DEEPEST:
                raise _unwritten(f"it is nested more than {DEEPEST} levels deep", where)
            waiting += [(inner, depth + 1) for inner in (part.values() if isinstance(part, Mapping) else part)]


def _demand_digits(number: int, where: str) -> None:
    try:
        str(number)
    except ValueError:  # Python writes no number of thousands of digits
        raise _unwritten(
            f"it holds a whole number of about {number.bit_length() * 0.30103:.0f} digits", where
        ) from None


def _unwritten(what: str, where: str) -> RequestError:
    return RequestError(
        what,
        where=where,
        why="the model reads a conversation as text, and this cannot be written",
        fix="leave that value out of the conversation, or give it as a text",
    )
