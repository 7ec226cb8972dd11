"""Conversations as chat templates take them: some know no system role, no tools, or only roles that alternate.

What a template has no role for is said in the user's turn, and neighbours of one role become one turn. Nothing is left
out, and no turn changes its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ig_guardrail.types import Role

RESULT = "Result of the tool call:"

_UNKNOWN: tuple[frozenset[Role], ...] = (
    frozenset(),
    frozenset({"system"}),
    frozenset({"tool"}),
    frozenset({"system", "tool"}),
)


@dataclass(frozen=True, slots=True)
class TemplateMessage:
    """A turn as a template is given it. trusted: whether it may hold the notation of calls.

    thought: what the assistant thought before it; it goes to the template apart from the text
    """

    role: Role
    text: str
    trusted: bool = False
    thought: str = ""


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
    return replace(part, role="user", text=text)


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
    return TemplateMessage(run[0].role, text, any(part.trusted for part in run), thought)
