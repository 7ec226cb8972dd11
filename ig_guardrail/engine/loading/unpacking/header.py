"""A GGUF file's reader, as `transformers` is given it: one for all that it asks for, and one that is quick.

A header names every token of the vocabulary. The reader of the package `gguf` cuts each out of a memory map, with its
length, which takes seconds for 150,000 tokens and as many merges; and `transformers` reads it for the configuration,
the tokenizer and the weights. For each part of a model, it also makes the table of all names of tensors anew.
"""

from __future__ import annotations

import contextlib
import functools
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import gguf
import numpy as np
from gguf import GGUFReader, GGUFValueType

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]
FieldParts: TypeAlias = tuple[int, list[Numbers], list[int], list[GGUFValueType]]

_HANDED_OUT = threading.Lock()  # while `transformers` is given a reader, nobody else gives it another
_LENGTH = struct.Struct("=Q")


@contextlib.contextmanager
def read_once(packed: Path) -> Iterator[GGUFReader]:
    """The file's reader, which everyone gets who makes one for it meanwhile. Raises ValueError for no GGUF file."""
    with _HANDED_OUT:
        reader, usual, place = _PlainReader(packed), gguf.GGUFReader, packed.resolve()

        def shared(path: Any, mode: Any = "r") -> GGUFReader:
            return reader if Path(path).resolve() == place else usual(path, mode)

        names = functools.cache(gguf.get_tensor_name_map)
        with _replaced("GGUFReader", shared), _replaced("get_tensor_name_map", names):
            yield reader


@contextlib.contextmanager
def _replaced(name: str, other: Any) -> Iterator[None]:
    """Another value of a name of the package `gguf`."""
    usual = getattr(gguf, name)
    setattr(gguf, name, other)
    try:
        yield
    finally:
        setattr(gguf, name, usual)


@contextlib.contextmanager
def without(reader: GGUFReader, *keys: str) -> Iterator[None]:
    """The reader as if the file did not have some fields, which take long to go through."""
    hidden = {key: reader.fields.pop(key) for key in keys if key in reader.fields}
    try:
        yield
    finally:
        reader.fields.update(hidden)


class _PlainReader(GGUFReader):
    """Cuts the header out of a plain array over the same memory, and arrays in it at one go."""

    @property
    def data(self) -> Any:
        """All bytes of the file."""
        return self._data

    @data.setter
    def data(self, mapped: Any) -> None:
        self._data = mapped.view(np.ndarray)

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> FieldParts:
        """The size of a field's value, its parts, which of them hold its items, and its types; lengths are no parts."""
        if raw_type != GGUFValueType.ARRAY or self.byte_order != "I":
            return super()._get_field_parts(orig_offs, raw_type)
        kind, count = GGUFValueType(self._get(orig_offs, np.uint32)[0]), self._get(orig_offs + 4, np.uint64)
        start, length = orig_offs + 12, int(count[0])
        if kind == GGUFValueType.STRING:
            end, items = self._strings(start, length)
        elif kind in self.gguf_scalar_to_np:
            end, items = self._numbers(start, length, np.dtype(self.gguf_scalar_to_np[kind]))
        else:
            return super()._get_field_parts(orig_offs, raw_type)
        types = [GGUFValueType.ARRAY, *([kind] if items else [])]
        return end - orig_offs, [count, *items], list(range(1, 1 + len(items))), types

    def _strings(self, start: int, count: int) -> tuple[int, list[Numbers]]:
        items: list[Numbers] = []
        for _ in range(count):
            (size,) = _LENGTH.unpack_from(self._data, start)
            items.append(self._data[start + 8 : start + 8 + size])
            start += 8 + size
            self._require(start)
        return start, items

    def _numbers(self, start: int, count: int, kind: np.dtype[Any]) -> tuple[int, list[Numbers]]:
        end = start + count * kind.itemsize
        self._require(end)
        return end, list(self._data[start:end].view(kind).reshape(count, 1))

    def _require(self, end: int) -> None:
        if end > len(self._data):
            raise ValueError(f"the file ends at {len(self._data)} bytes, and its header goes on to {end}")
