"""The small vocabulary of scripted models: named pieces, marks between turns, and every byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import get_args

from ig_guardrail.engine.detokenize import Detokenizer
from ig_guardrail.engine.language import Language
from ig_guardrail.types import Role, Turn

_WORD = re.compile(r"\s*\S+|\s+")


class Vocabulary:
    """Tokens of a scripted model.

    Ids 0, 1, ... are `pieces` as given (text, or bytes for parts of a character); then come `end`, one mark for each
    role and one for the end of a turn, and the 256 bytes, so that any text can be written.
    """

    def __init__(self, pieces: Iterable[str | bytes]) -> None:
        given = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
        roles: tuple[str, ...] = get_args(Role)
        self.end = len(given)
        self._marks = {role: self.end + 1 + i for i, role in enumerate(roles)}
        self._turn_end = self.end + 1 + len(roles)
        self._spelled = [*given, *[b""] * (len(roles) + 2), *(bytes([byte]) for byte in range(256))]
        self._ids: dict[bytes, int] = {}
        for token, spelled in enumerate(self._spelled):
            self._ids.setdefault(spelled, token)
        self._longest = max(map(len, self._spelled))
        self.language = Language(Detokenizer(self.bytes_of), frozenset({self.end}), len(self._spelled))

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token; none for `end` and the marks. Raises IndexError for ids the vocabulary has not."""
        return self._spelled[token]

    def ids(self, text: str | bytes) -> tuple[int, ...]:
        """The tokens of a text, longest pieces first."""
        data, found = text.encode() if isinstance(text, str) else text, []
        while data:
            piece = next(data[:n] for n in range(min(len(data), self._longest), 0, -1) if data[:n] in self._ids)
            found.append(self._ids[piece])
            data = data[len(piece) :]
        return tuple(found)

    def prompt_ids(self, turns: Sequence[Turn]) -> tuple[int, ...]:
        """A conversation between marks, up to where the answer begins. No text contains a mark."""
        ids = [id for turn in turns for id in (self._marks[turn.role], *self.ids(turn.text), self._turn_end)]
        return (*ids, self._marks["assistant"])

    @property
    def protected(self) -> frozenset[int]:
        """End, marks, and pieces of white space only."""
        return frozenset(i for i, piece in enumerate(self._spelled) if not piece.decode("utf-8", "replace").strip())


def words(text: str) -> list[str]:
    """A text cut before the white space of each word: `"I do."` is `["I", " do."]`."""
    return _WORD.findall(text)
