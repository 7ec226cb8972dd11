"""Windows of a growing text, in whole words, the same however the text was cut.

A word is what white space parts, without its disguise (`normalisation`), in parts of at most `LONGEST_WORD` characters.
One at the very end of the text so far waits until it is complete. A window is full when the next word does not fit; the
words at its end that fit into the overlap begin the next one, so what stands at a border is read whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ig_guardrail.text.normalisation import normalise

LONGEST_RUN = 200  # characters without white space, as they were written, that are read together
LONGEST_WORD = 40

CountPieces: TypeAlias = Callable[[str], int]

_RUN = re.compile(rf"\S{{1,{LONGEST_RUN}}}")
_WORD = re.compile(rf"\S{{1,{LONGEST_WORD}}}")


@dataclass(frozen=True, slots=True)
class WindowShape:
    """How many pieces of words a window holds at most, and how many of them the next one repeats at most."""

    pieces: int
    overlap: int


@dataclass(frozen=True, slots=True)
class TextWindows:
    """What was read of a text: the words of the window that is not full, their pieces, and what waits for more text."""

    words: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    tail: str = ""

    @property
    def open(self) -> str:
        """The text of the window that is not full; "" before the first word."""
        return " ".join(self.words)

    def read(self, text: str, ended: bool, shape: WindowShape, count: CountPieces) -> tuple[TextWindows, list[str]]:
        """This after more text, and the texts of the windows that were filled by it.

        ended  whether the text ends here, and with it the word at its end
        count  how many pieces a word is for the encoder
        """
        known = self.tail + text
        border = len(known) if ended else _start_of_open_run(known)
        words, sizes, full = list(self.words), list(self.sizes), []
        for word in _words(known[:border]):
            size = count(word)
            if words and sum(sizes) + size > shape.pieces:
                full.append(" ".join(words))
                kept = _fitting(sizes, min(shape.overlap, shape.pieces - size))
                words, sizes = words[len(words) - kept :], sizes[len(sizes) - kept :]
            words.append(word)
            sizes.append(size)
        return TextWindows(tuple(words), tuple(sizes), known[border:]), full


def windows_of(text: str, shape: WindowShape, count: CountPieces) -> list[str]:
    """The texts of all windows of a whole text, in order."""
    read, full = TextWindows().read(text, True, shape, count)
    return [*full, *([read.open] if read.open else [])]


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the last words have at most `room` pieces together."""
    kept = total = 0
    for size in reversed(sizes):
        total += size
        if total > room:
            break
        kept += 1
    return kept


def _start_of_open_run(text: str) -> int:
    """Where the run at the end begins that more text may lengthen; the end of the text if there is none."""
    runs = list(_RUN.finditer(text))
    if not runs or runs[-1].end() < len(text) or len(runs[-1][0]) == LONGEST_RUN:
        return len(text)
    return runs[-1].start()


def _words(text: str) -> Iterator[str]:
    for run in _RUN.findall(text):
        shown = normalise(run).encode("utf-8", "replace").decode()  # no half of a pair
        yield from _WORD.findall(shown)
