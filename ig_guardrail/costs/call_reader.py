"""Calls read while an answer grows: what `calls.read` finds in the whole text, told piece by piece in linear work.

A reader is a value that is never changed, as the states of cost models are. It keeps no more of the answer than the
call that is open, as a chain of the pieces it came in, and reads every character once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ig_guardrail.calls import CLOSE, OPEN, Call, read

Chain: TypeAlias = "tuple[Chain, str] | None"
"""Pieces of a text, the newest outermost."""

Phase: TypeAlias = Literal["words", "json", "close", "open", "over"]

_OUTSIDE = re.compile(r'["{}<]')  # what matters of JSON: no "<" stands outside of its strings
_INSIDE = re.compile(r'["\\]')


@dataclass(frozen=True, slots=True)
class CallReader:
    """See above. The first reader of an answer is `CallReader()`.

    phase    "words" before the first call, "json" within one, "close" behind its JSON, "open" behind a whole call,
             "over" where there can be no further call
    tail     what may be the beginning of a tag
    json     the JSON of the open call, so far
    depth    its open braces
    quoted   whether it stands in a string; escaped: behind a backslash there
    unread   whether a call was closed that cannot be read
    """

    phase: Phase = "words"
    tail: str = ""
    json: Chain = None
    depth: int = 0
    quoted: bool = False
    escaped: bool = False
    unread: bool = False

    def read(self, text: str) -> tuple[CallReader, tuple[Call, ...]]:
        """The reader behind more of the text, and the calls that this completes."""
        reader, calls, rest = self, [], text
        while rest:
            reader, rest, call = reader._step(rest)
            calls += [call] if call is not None else []
        return reader, tuple(calls)

    def ended(self) -> CallReader:
        """The reader where the answer ends: an open call is none."""
        return self if self.phase in ("words", "over") else self._over("")

    def _step(self, text: str) -> tuple[CallReader, str, Call | None]:
        """Reads on to the next change of phase: the reader there, the text behind it, and a call that ends there."""
        match self.phase:
            case "words":
                _, opened, rest = (self.tail + text).partition(OPEN)
                if opened:
                    return CallReader("json"), rest, None
                return CallReader(tail=(self.tail + text)[-len(OPEN) + 1 :]), "", None
            case "json":
                return self._read_json(text)
            case "close" | "open":
                return self._read_tag(CLOSE if self.phase == "close" else OPEN, text)
            case "over":
                known = self.tail + text
                return replace(self, tail=known[-len(CLOSE) + 1 :], unread=self.unread or CLOSE in known), "", None

    def _read_json(self, text: str) -> tuple[CallReader, str, Call | None]:
        if self.json is None and text[0] != "{":
            return self._over(text), "", None
        depth, quoted, place = self.depth, self.quoted, int(self.escaped)
        while (found := (_INSIDE if quoted else _OUTSIDE).search(text, place)) is not None:
            place = found.end()
            match found[0]:
                case '"':
                    quoted = not quoted
                case "\\":
                    place += 1
                case "<":
                    return self._over(text), "", None
                case brace:
                    depth += 1 if brace == "{" else -1
                    if depth == 0:
                        return CallReader("close", json=(self.json, text[:place])), text[place:], None
        return CallReader("json", "", (self.json, text), depth, quoted, escaped=place > len(text)), "", None

    def _read_tag(self, tag: str, text: str) -> tuple[CallReader, str, Call | None]:
        """Read on in a tag that must stand here."""
        known = self.tail + text
        if not known.startswith(tag):
            return (replace(self, tail=known) if tag.startswith(known) else self._over(text)), "", None
        rest = known[len(tag) :]
        if tag == OPEN:
            return CallReader("json"), rest, None
        _, calls = read(f"{OPEN}{_joined(self.json)}{CLOSE}")
        if not calls:
            return self._over(known[len(self.tail) : len(tag)]), rest, None
        return CallReader("open"), rest, calls[0]

    def _over(self, text: str) -> CallReader:
        """The reader behind `text`, with no call in it or behind it."""
        known = _joined(self.json) + self.tail + text
        return CallReader("over", known[-len(CLOSE) + 1 :], unread=CLOSE in known)


def _joined(chain: Chain) -> str:
    return "".join(reversed(list(_pieces(chain))))


def _pieces(chain: Chain) -> Iterator[str]:
    while chain is not None:
        chain, piece = chain
        yield piece
