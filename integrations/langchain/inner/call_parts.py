"""The pieces of streamed tool calls, put together once all are there: work that is linear in what was sent.

Pieces belong together as LangChain merges them: by an index that is a number, where their ids do not contradict each
other. A piece without such an index is a call of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk


@dataclass(slots=True)
class Parts:
    """The pieces of one call. None for what no piece has told."""

    index: int | None
    id: str | None
    names: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)

    def take(self, piece: ToolCallChunk) -> None:
        """Add a piece of this call."""
        self.id = self.id or piece["id"]
        self.names += [piece["name"]] if piece["name"] else []
        self.args += [piece["args"]] if piece["args"] else []

    def whole(self) -> ToolCallChunk:
        """The call as one piece."""
        return tool_call_chunk(
            name="".join(self.names) or None, args="".join(self.args) or None, id=self.id, index=self.index
        )


class CallParts:
    """Takes the pieces of an answer's calls in the order in which they come."""

    def __init__(self) -> None:
        self._calls: list[Parts] = []
        self._by_index: dict[int, list[Parts]] = {}

    def take(self, pieces: Sequence[ToolCallChunk]) -> None:
        """Add the pieces of one message."""
        for piece in pieces:
            self._of(piece).take(piece)

    def whole(self) -> list[ToolCallChunk]:
        """The calls so far, in the order in which they were begun."""
        return [call.whole() for call in self._calls]

    def _of(self, piece: ToolCallChunk) -> Parts:
        """The call that a piece belongs to, which may begin with it."""
        index, id = piece["index"], piece["id"]
        same = self._by_index.setdefault(index, []) if isinstance(index, int) else []
        found = next((call for call in same if not (id and call.id) or call.id == id), None)
        if found is None:
            found = Parts(index, id)
            self._calls.append(found)
            same.append(found)
        return found
