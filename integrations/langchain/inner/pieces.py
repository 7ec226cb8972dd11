"""What others stream in pieces, put together again: characters, and tool calls.

Some hosts cut between the two halves that UTF-16 has of one character. Pieces of calls belong together as LangChain
merges them: by an index that is a number, where their ids do not contradict each other. A piece without such an index
is a call of its own. They are joined once all are there: work that is linear in what was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk


class Characters:
    """Reads one text that comes in chunks. A first half at the end of a chunk waits for the next one.

    Raises UnicodeError for a half that stays alone.
    """

    def __init__(self) -> None:
        self._half = ""

    def read(self, text: str) -> str:
        """The characters that more text completes."""
        known = self._half + text
        self._half = known[-1:] if "\ud800" <= known[-1:] <= "\udbff" else ""
        return whole(known[: len(known) - len(self._half)])

    def end(self) -> str:
        """What is left where the text ends: nothing."""
        return whole(self._half)


def whole(text: str) -> str:
    """A text whose halves of characters have met. Raises UnicodeError if one has not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    return text


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
