"""Calls as an answer grows: where its words end, and which calls are complete, found in pieces cut anywhere.

Words are forgotten as they come. Of a call, its source is kept until the call is complete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TypeAlias

from ig_guardrail.text.call_notation import before_calls
from ig_guardrail.text.calls import CLOSE, OPEN, call_in, first_call
from ig_guardrail.types import Piece, ToolCall

TextSource: TypeAlias = "tuple[TextSource, str] | None"  # the last of its pieces, and those before it

_BLANKS = 8  # more of them in a row say no more
_HEAD = 400  # characters of a call in which its name is looked for before it is complete
_NAME = re.compile(rf'\s*{re.escape(OPEN)}\s*\{{\s*"name"\s*:\s*"([^"\\]{{0,256}})"')
_QUOTED = re.compile(r'["\\]')
_BARE = re.compile(f'"|{re.escape(CLOSE)}')


@dataclass(frozen=True, slots=True)
class Border:
    """Whether calls have begun. tail: the end of the words that may tell, with more, where the first call begins."""

    begun: bool = False
    tail: str = ""

    def read(self, piece: Piece) -> tuple[Border, str]:
        """The border after a piece, and what of calls is known with it."""
        if self.begun:
            return self, piece.text
        if piece.words is not None:
            calls = piece.text[piece.words :]
            return Border(begun=bool(calls)), calls
        known = self.tail + piece.text
        place = first_call(known)
        if place < len(known):
            return Border(begun=True), known[place:]
        certain = before_calls(known, ended=False)
        return Border(tail=_line_end(known[:certain]) + known[certain:]), ""


@dataclass(frozen=True, slots=True, eq=False)
class CallReader:
    """What was read of an answer's calls.

    made    the calls that the last piece completed; in place of one that cannot be read, its source
    naming  the name of the call that is being written, once that is known

    border, source, size, left, quoted: of the call that is being written, its source and how long it is; what of that
    is not looked through yet; whether a text is open in its JSON
    """

    made: tuple[ToolCall | str, ...] = ()
    naming: str | None = None
    border: Border = Border()
    source: TextSource = None
    size: int = 0
    left: str = ""
    quoted: bool = False

    def read(self, piece: Piece) -> CallReader:
        """The reader after a piece."""
        border, text = self.border.read(piece)
        if text:
            return self._read(border, text)
        return self if border == self.border and not self.made else replace(self, made=(), border=border)

    def _read(self, border: Border, text: str) -> CallReader:
        known, start, place, quoted = self.left + text, 0, 0, self.quoted
        source, naming, made = self.source, self.naming, list[ToolCall | str]()
        while (found := (_QUOTED if quoted else _BARE).search(known, place)) is not None:
            if found[0] == "\\" and found.end() == len(known):
                break
            place = found.end() + (found[0] == "\\")
            if found[0] == '"':
                quoted = not quoted
            elif found[0] == CLOSE:
                whole = _joined((source, known[start:place]))
                made.append(call_in(whole) or whole)
                source, naming, start = None, None, place
        kept = found.start() if found is not None else len(known) if quoted else _before_close(known, place)
        source = (source, known[start:kept])
        size = (0 if made else self.size) + kept - start
        if naming is None and size <= _HEAD:
            naming = _name(_joined((source, known[kept:])))
        return CallReader(tuple(made), naming, border, source, size, known[kept:], quoted)


def _line_end(text: str) -> str:
    """What may tell whether a call begins behind a text: its last character, and a few of the blanks behind that."""
    said = text.rstrip(" \t")
    return said[-1:] + text[len(said) :][-_BLANKS:]


def _before_close(text: str, start: int) -> int:
    """Where the end of `text` begins that may become a closing marker; not before `start`."""
    longest = min(len(CLOSE) - 1, len(text) - start)
    return next((len(text) - n for n in range(longest, 0, -1) if text.endswith(CLOSE[:n])), len(text))


def _name(source: str) -> str | None:
    found = _NAME.match(source)
    return None if found is None else found[1]


def _joined(source: TextSource) -> str:
    parts: list[str] = []
    while source is not None:
        source, part = source
        parts.append(part)
    return "".join(reversed(parts))
