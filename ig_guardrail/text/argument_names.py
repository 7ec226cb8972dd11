"""Calls as their tools take them: an argument that is given under one of its names is there under all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ig_guardrail.types import ArgumentNames, Tool, ToolCall

_NOTHING = object()


def as_taken(call: ToolCall, tools: Iterable[Tool]) -> Iterator[ToolCall]:
    """A call as it is written, and then as its tool may take it, which may be one of several of that name."""
    yield call
    for tool in tools:
        if tool.name == call.name:
            yield from (ToolCall(call.name, other, call.id) for other in under_other_names(call.arguments, tool.names))


def under_other_names(arguments: Mapping[str, Any], names: Iterable[ArgumentNames]) -> Iterator[dict[str, Any]]:
    """The arguments with each one that has several names under all of them, one after another.

    Of two that are given for one argument a tool takes either, so both are there.
    """
    for places in names:
        plain = [place for place in places if isinstance(place, str)]
        for value in (_at(arguments, place) for place in places):
            if value is not _NOTHING:
                yield {**arguments, **dict.fromkeys(plain, value)}


def _at(arguments: Any, place: str | tuple[str | int, ...]) -> Any:
    """What stands at a place of arguments, if anything does."""
    found = arguments
    for step in (place,) if isinstance(place, str) else place:
        if isinstance(found, str):
            return _NOTHING
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return _NOTHING
    return found
