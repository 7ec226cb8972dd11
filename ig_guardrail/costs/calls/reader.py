"""Calls as an answer grows: where its words end, and which calls are complete, found in pieces cut anywhere.

Words are forgotten as they come. Of a call, its source is kept until the call is complete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from ig_guardrail.text.call_notation import OURS, before_calls, first_head
from ig_guardrail.text.call_reading import BEGINNING, CallPlace, begun_name, read_call, read_to_end
from ig_guardrail.types import CallNotation, Piece, ToolCall, ToolFormat

TextSource: TypeAlias = "tuple[TextSource, str] | None"  # the last of its pieces, and those before it

_KEPT = 8  # more blanks in a row say no more
_HEAD = 400  # characters of a call in which its name is looked for before it is complete


@dataclass(frozen=True, slots=True)
class Border:
    """Whether calls have begun, and in which format; until then, in which they may.

    tail: the end of the words that may tell, with more, where the first call begins
    """

    notation: CallNotation = OURS
    begun: ToolFormat | None = None
    tail: str = ""

    def read(self, piece: Piece) -> tuple[Border, str]:
        """The border after a piece, and what of calls is known with it."""
        if self.begun is not None:
            return self, piece.text
        if piece.words is not None:
            calls = piece.text[piece.words :]
            return Border(self.notation, self.notation.format if calls else None), calls
        known = self.tail + piece.text
        found = first_head(known, self.notation)
        if found is not None:
            return Border(self.notation, found[1]), known[found[0] :]
        certain = before_calls(known, ended=False, notation=self.notation)
        return Border(self.notation, tail=_line_end(known[:certain]) + known[certain:]), ""


@dataclass(frozen=True, slots=True, eq=False)
class CallReader:
    """What was read of an answer's calls.

    made    the calls that the last piece completed; in place of one that cannot be read, its source
    naming  the name of the call that is being written, once that is known

    border, source, size, left, place: of the call that is being written, its source and how long it is; what of that
    is not looked through yet; where the reading of it stands
    """

    made: tuple[ToolCall | str, ...] = ()
    naming: str | None = None
    border: Border = Border()
    source: TextSource = None
    size: int = 0
    left: str = ""
    place: CallPlace = BEGINNING

    def read(self, piece: Piece) -> CallReader:
        """The reader after a piece."""
        border, text = self.border.read(piece)
        if text and border.begun is not None:
            return self._read(border, border.begun, text)
        return self if border == self.border and not self.made else replace(self, made=(), border=border)

    def _read(self, border: Border, form: ToolFormat, text: str) -> CallReader:
        known, start, place = self.left + text, 0, self.place
        source, naming, made = self.source, self.naming, list[ToolCall | str]()
        while (reached := read_to_end(known, start, place, form)).end is not None:
            whole = _joined((source, known[start : reached.end]))
            made.append(read_call(whole, form, border.notation.named) or whole)
            source, naming, start, place = None, None, reached.end, BEGINNING
        source = (source, known[start : reached.kept])
        size = (0 if made else self.size) + reached.kept - start
        if naming is None and size <= _HEAD:
            naming = begun_name(_joined((source, known[reached.kept :])), form)
        return CallReader(tuple(made), naming, border, source, size, known[reached.kept :], reached.place)


def reader_of(notation: CallNotation) -> CallReader:
    """What reads the calls of an answer from its beginning on."""
    return CallReader(border=Border(notation))


def _line_end(text: str) -> str:
    """What may tell whether a call begins behind a text: its last character, and a few of the blanks behind that."""
    said = text.rstrip(" \t")
    return said[-1:] + text[len(said) :][-_KEPT:]


def _joined(source: TextSource) -> str:
    parts: list[str] = []
    while source is not None:
        source, part = source
        parts.append(part)
    return "".join(reversed(parts))
