"""Text cut into pieces, which stand for tokens where a model's own are not known: words, with the space before them.

Where a text is cut depends on the text alone, never on the chunks it came in: a piece ends where white space follows a
word, or at `LONGEST` characters.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 12  # characters; what is written without spaces moves in pieces of this length

_PIECE = re.compile(r"\s*\S+|\s+")


class Cutter:
    """Cuts one text that comes in chunks. A piece is given once no further text can lengthen it."""

    def __init__(self) -> None:
        self._open = ""

    def read(self, text: str) -> list[str]:
        """The pieces that more text completes."""
        known, start, found = self._open + text, 0, []
        while piece := _PIECE.match(known, start, start + LONGEST):
            if piece.end() == len(known) and piece.end() - start < LONGEST:
                break
            found.append(piece[0])
            start = piece.end()
        self._open = known[start:]
        return found

    def end(self) -> list[str]:
        """The last piece, where the text ends."""
        last, self._open = self._open, ""
        return [last] if last else []


def pieces_of(text: str) -> list[str]:
    """A whole text in pieces."""
    cutter = Cutter()
    return [*cutter.read(text), *cutter.end()]


def numbered(piece: str) -> int:
    """A number of 48 bits that names a piece wherever it is read: the beginning of its SHA-256."""
    return int.from_bytes(hashlib.sha256(piece.encode()).digest()[:6])


class Lexicon:
    """Exact numbers for the pieces of one request, from 1 on as they first occur. 0 ends an answer."""

    END = 0

    def __init__(self) -> None:
        self._pieces = [b""]
        self._ids: dict[str, int] = {}

    def id(self, piece: str) -> int:
        """The number of a piece."""
        if piece not in self._ids:
            self._pieces.append(piece.encode())
            self._ids[piece] = len(self._pieces) - 1
        return self._ids[piece]

    def spelled(self, token: int) -> bytes:
        """The piece of a number, in UTF-8."""
        return self._pieces[token]
