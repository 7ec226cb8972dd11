"""Prompts that were read before, as the library saves a sequence, so that what a prompt begins with is read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from ig_guardrail.engine.llama_cpp.reader import Reader


@dataclass(frozen=True, slots=True)
class SavedPrompt:
    """A sequence of `length` tokens, and the keys of the pages that it begins with."""

    pages: tuple[bytes, ...]
    length: int
    data: bytes


class SavedPrompts:
    """Prompts in pages of `page` tokens, `limit` bytes at most; the least recently used is forgotten first."""

    def __init__(self, limit: int, page: int) -> None:
        self._limit, self._page = limit, page
        self._kept: OrderedDict[bytes, SavedPrompt] = OrderedDict()  # by the key of the last page

    def give(self, reader: Reader, pages: Sequence[bytes]) -> int:
        """Begin a reader with what is known of a prompt; how many tokens."""
        best = max(self._kept.values(), key=lambda one: _shared(one.pages, pages), default=None)
        known = 0 if best is None else _shared(best.pages, pages)
        if best is None or known == 0 or reader.root or best.length > reader.cells.size:
            return 0
        self._kept.move_to_end(best.pages[-1])
        reader.begin_with(best.data, best.length, known * self._page)
        return reader.root

    def keep(self, reader: Reader, pages: Sequence[bytes]) -> None:
        """Keep what a reader has read of a prompt, unless all of its pages are known."""
        if not pages or any(_shared(one.pages, pages) == len(pages) for one in self._kept.values()):
            return
        data = reader.cells.saved(0)
        if len(data) > self._limit:
            return
        self._kept[pages[-1]] = SavedPrompt(tuple(pages), reader.cells.used, data)
        while sum(len(one.data) for one in self._kept.values()) > self._limit:
            self._kept.popitem(last=False)


def _shared(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
