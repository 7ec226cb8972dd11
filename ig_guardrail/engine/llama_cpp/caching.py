"""`Caching` over the library's cells: a context for each root, so that no request moves another's bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.llama_cpp.cells import Pool
from ig_guardrail.engine.llama_cpp.reader import Prefix, Reader, Rows
from ig_guardrail.errors import EngineError

KERNEL = 64  # tokens of one step at which other kernels begin: prompts are read by no fewer, answers by fewer


class CellCaching:
    """Keeps what is read in the cells of `pool`."""

    name = "cells"
    piece = 512
    tile = shortest = KERNEL

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def empty(self, room: int) -> Rows:
        return Reader(self._pool, room).begin()

    def pages(self, ids: Sequence[int], salt: str) -> Sequence[bytes]:
        return ()

    def recall(self, rows: Any, pages: Sequence[bytes]) -> int:
        return 0

    def start(self, prefixes: Sequence[Prefix], room: int) -> Rows:
        return Rows(prefixes[0].reader, prefixes, room)

    def interrupt(self) -> None:
        self._pool.stop.look()

    def read(self, passes: Sequence[Pass[Any]]) -> Sequence[PassResult | BaseException]:
        return [_read(one) for one in passes]


def _read(one: Pass[Any]) -> PassResult | BaseException:
    rows: Rows = one.rows  # type: ignore[assignment]  # of this caching
    try:
        if one.edit is not None:
            raise _no_edits()
        return rows.read(one.tokens, one.keep, one.layers, one.account)
    except BaseException as error:  # it is this pass's alone, since each is a step of its own
        return error


def _no_edits() -> EngineError:
    return EngineError(
        "llama.cpp has no way to edit hidden states while it reads",
        where="engine 'llama.cpp'",
        why="it shows them and takes none back",
        fix="use engine 'transformers' for strategies that steer by states (re_control), or steer with a system text",
    )
