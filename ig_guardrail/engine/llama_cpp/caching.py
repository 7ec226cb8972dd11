"""`Caching` over the library's cells: a context for each root, so that no request moves another's bits.

Also here: prompts that were read, as the library saves a sequence, so that what prompts begin with is read once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ig_guardrail.engine.decoding.pages import page_keys
from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.llama_cpp.cells import Pool
from ig_guardrail.engine.llama_cpp.reader import Prefix, Reader, Rows
from ig_guardrail.errors import EngineError

KERNEL = 64  # tokens of one step at which other kernels begin: prompts are read by no fewer, answers by fewer


class CellCaching:
    """Keeps what is read in the cells of `pool`."""

    name = "cells"
    piece = 512
    shortest = KERNEL
    keeps_answers = False  # prompts are read by other kernels

    def __init__(self, pool: Pool, prompts: int) -> None:
        """prompts: bytes of prompts that may be kept; none where it matters for bits how a prompt is cut."""
        self._pool = pool
        self._saved = SavedPrompts(prompts, KERNEL) if pool.steady else None
        self.tile = KERNEL if pool.steady else self.piece

    def empty(self, room: int, reach: int = 0) -> Rows:
        return Reader(self._pool, room).begin()

    def pages(self, ids: Sequence[int], salt: str) -> Sequence[bytes]:
        return () if self._saved is None else list(page_keys(ids, salt, KERNEL))

    def recall(self, rows: Any, pages: Sequence[bytes]) -> int:
        return self._saved.give(rows.reader, pages) if self._saved is not None and pages else 0

    def keep(self, prefix: Prefix, pages: Sequence[bytes]) -> None:
        """Nothing is kept."""

    def start(self, prefixes: Sequence[Prefix], room: int) -> Rows:
        return Rows(prefixes[0].reader, prefixes, room)

    def read(self, passes: Sequence[Pass[Any]]) -> Sequence[PassResult | BaseException]:
        return [self._read(one) for one in passes]

    def _read(self, one: Pass[Any]) -> PassResult | BaseException:
        rows: Rows = one.rows  # type: ignore[assignment]  # of this caching
        try:
            if one.edit is not None:
                raise _no_edits()
            read = rows.read(one.tokens, one.keep, one.layers, one.account)
            if self._saved is not None and rows.reader.root >= KERNEL * len(one.pages):
                self._saved.keep(rows.reader, one.pages)
            return read
        except BaseException as error:  # it is this pass's alone, since each is a step of its own
            return error


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


def _no_edits() -> EngineError:
    return EngineError(
        "llama.cpp has no way to edit hidden states while it reads",
        where="engine 'llama.cpp'",
        why="it shows them and takes none back",
        fix="use engine 'transformers' for strategies that steer by states (re_control), or steer with a system text",
    )
