"""Conversations as chat templates take them: some know no system role, no tools, or only roles that alternate.

What a template has no role for is said in the user's turn, and neighbours of one role become one turn. Nothing is left
out, and no turn changes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ig_guardrail.types import Role, ToolCall

RESULT = "Result of the tool call:"

_UNKNOWN: tuple[frozenset[Role], ...] = (
    frozenset(),
    frozenset({"system"}),
    frozenset({"tool"}),
    frozenset({"system", "tool"}),
)


@dataclass(frozen=True, slots=True)
class TemplateMessage:
    """A turn as a template is given it.

    trusted  whether it may hold the notation of calls
    thought  what the assistant thought before it; it goes to the template apart from the text
    calls    those that the template itself writes, behind the text
    call_id  whose result it is, and `tool`, which tool's
    """

    role: Role
    text: str
    trusted: bool = False
    thought: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    tool: str = ""

    def mapped(self, change: Callable[[str], str]) -> TemplateMessage:
        """The turn with every text in it changed: its own, `thought`, `tool`, names and arguments of its calls."""
        text, thought, tool = change(self.text), change(self.thought), change(self.tool)
        calls = tuple(ToolCall(change(call.name), map_texts(call.arguments, change), call.id) for call in self.calls)
        return replace(self, text=text, thought=thought, tool=tool, calls=calls)

    def texts(self) -> list[str]:
        """All that `mapped` changes, in its order."""
        found: list[str] = []
        self.mapped(lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
        return found


def arrangements(parts: Sequence[TemplateMessage]) -> Iterator[tuple[TemplateMessage, ...]]:
    """A conversation as it is, and then in other shapes, each further from it than the one before."""
    yield tuple(parts)
    for unknown in _UNKNOWN:
        merged = _merged([_said_by_user(part) if part.role in unknown else part for part in parts])
        yield merged
        if merged and merged[0].role == "assistant":
            yield (TemplateMessage("user", ""), *merged)


def _said_by_user(part: TemplateMessage) -> TemplateMessage:
    text = f"{RESULT}\n{part.text}" if part.role == "tool" else part.text
    return TemplateMessage("user", text, part.trusted)


def _merged(parts: Sequence[TemplateMessage]) -> tuple[TemplateMessage, ...]:
    runs: list[list[TemplateMessage]] = []
    for part in parts:
        if not runs or runs[-1][0].role != part.role or part.role == "tool":
            runs.append([])
        runs[-1].append(part)
    return tuple(map(_one, runs))


def _one(run: Sequence[TemplateMessage]) -> TemplateMessage:
    text = "\n\n".join(part.text for part in run if part.text)
    thought = "\n\n".join(part.thought for part in run if part.thought)
    calls = tuple(call for part in run for call in part.calls)
    return replace(run[0], text=text, trusted=any(part.trusted for part in run), thought=thought, calls=calls)


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A value of JSON with every text in it changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(str(key)): map_texts(one, change) for key, one in value.items()}
    return [map_texts(one, change) for one in value] if isinstance(value, list | tuple) else value
