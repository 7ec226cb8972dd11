"""Whole characters of what others stream: some hosts cut between the two halves that UTF-16 has of one."""

from __future__ import annotations


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
