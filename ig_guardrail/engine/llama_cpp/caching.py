"""`Caching` over the library's cells: a context for each root, so that no request moves another's bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ig_guardrail.engine.decoding.pages import page_keys
from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.llama_cpp.cells import Pool
from ig_guardrail.engine.llama_cpp.prompts import SavedPrompts
from ig_guardrail.engine.llama_cpp.reader import Prefix, Reader, Rows
from ig_guardrail.errors import EngineError

KERNEL = 64  # tokens of one step at which other kernels begin: prompts are read by no fewer, answers by fewer


class CellCaching:
    """Keeps what is read in the cells of `pool`."""

    name = "cells"
    piece = 512
    shortest = KERNEL

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

    def start(self, prefixes: Sequence[Prefix], room: int) -> Rows:
        return Rows(prefixes[0].reader, prefixes, room)

    def interrupt(self) -> None:
        self._pool.stop.look()

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


def _no_edits() -> EngineError:
    return EngineError(
        "llama.cpp has no way to edit hidden states while it reads",
        where="engine 'llama.cpp'",
        why="it shows them and takes none back",
        fix="use engine 'transformers' for strategies that steer by states (re_control), or steer with a system text",
    )
