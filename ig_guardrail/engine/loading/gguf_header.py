"""The header of a GGUF file, read once however many parts of `transformers` ask for it.

A header names every token of the vocabulary, and the reader of the package `gguf` cuts each out of a memory map: for
150,000 tokens and as many merges that is 12 s of CPU time, of which three quarters are numpy's bookkeeping for maps.
`transformers` reads it for the configuration, for the tokenizer and for the weights.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGUFReader

_HANDED_OUT = threading.Lock()  # while `transformers` is given a reader, nobody else gives it another


@contextlib.contextmanager
def read_once(packed: Path) -> Iterator[GGUFReader]:
    """The file's reader, which everyone gets who makes one for it meanwhile. Raises ValueError for no GGUF file."""
    with _HANDED_OUT:
        reader, usual = _PlainReader(packed), gguf.GGUFReader
        place = packed.resolve()

        def shared(path: Any, mode: Any = "r") -> GGUFReader:
            return reader if Path(path).resolve() == place else usual(path, mode)

        gguf.GGUFReader = shared  # type: ignore[misc, assignment]
        try:
            yield reader
        finally:
            gguf.GGUFReader = usual  # type: ignore[misc]


class _PlainReader(GGUFReader):
    """Cuts the header out of a plain array over the same memory."""

    @property
    def data(self) -> Any:
        """All bytes of the file."""
        return self._data

    @data.setter
    def data(self, mapped: Any) -> None:
        self._data = mapped.view(np.ndarray)
