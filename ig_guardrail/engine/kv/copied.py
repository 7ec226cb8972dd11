"""Keys and values by plain repetition: every continuation gets a copy of the prefix. Serves any attention.

A snapshot is never changed: growing a cache makes new tensors, so a snapshot only refers to those of its own length and
costs nothing to take. Each pass is a forward of its own.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.decoding.prefill import SHORTEST
from ig_guardrail.engine.kv.stretched import Stretched
from ig_guardrail.engine.model import SERVED, Model
from ig_guardrail.errors import ModelError

_GROWS_BY_COPY = (DynamicLayer, DynamicSlidingWindowLayer)


@dataclass(frozen=True, slots=True)
class CopiedPrefix:
    """One prefix: its cache layers (one row each), and the logits (vocabulary,) of the token after it.

    long  whether it is read as a long text, see `Stretched`
    """

    layers: tuple[Any, ...]
    logits: Tensor
    long: bool

    @property
    def shape(self) -> int:
        """Tokens of the prefix."""
        return int(self.layers[0].get_seq_length())


class CopiedRows:
    """Continuations in one `transformers` cache. long: as of a `CopiedPrefix`"""

    def __init__(self, cache: Any, count: int, device: torch.device, long: bool) -> None:
        self.cache = cache
        self.long = long
        self._count = count
        self._device = device

    @property
    def count(self) -> int:
        return self._count

    def keep(self, rows: Sequence[int]) -> None:
        self.cache.batch_select_indices(torch.tensor(rows, device=self._device))
        self._count = len(rows)

    def freeze(self, row: int, logits: Tensor) -> CopiedPrefix:
        return CopiedPrefix(tuple(_row(layer, row) for layer in self.cache.layers), logits, self.long)

    def mark(self) -> tuple[Any, ...]:
        return tuple(copy.copy(layer) for layer in self.cache.layers)

    def back(self, mark: tuple[Any, ...], tokens: int) -> None:
        self.cache.layers = [_cut(old, now, tokens) for old, now in zip(mark, self.cache.layers, strict=True)]

    def rejoin(self, mark: tuple[Any, ...], depth: int) -> None:
        self.cache.layers[:depth] = map(copy.copy, mark[:depth])


class Repetition:
    """`Caching` by repetition. Raises ModelError for models whose state cannot be shared between continuations."""

    name = "repeat"
    piece = tile = sys.maxsize  # a sliding window is read whole
    shortest = SHORTEST
    keeps_answers = False

    def __init__(self, model: Model) -> None:
        self._model = model
        self.device = model.device
        self._positions = Stretched(model.config)
        empty_cache(model.config)

    def empty(self, room: int, reach: int = 0) -> CopiedRows:
        return CopiedRows(empty_cache(self._model.config), 1, self.device, self._positions.is_long(reach))

    def pages(self, ids: Sequence[int], salt: str) -> Sequence[bytes]:
        """None: a window that has moved on cannot go back to where a prompt began to differ."""
        return ()

    def recall(self, rows: Any, pages: Sequence[bytes]) -> int:
        return 0

    def keep(self, prefix: CopiedPrefix, pages: Sequence[bytes]) -> None:
        """Nothing is kept."""

    def start(self, prefixes: Sequence[CopiedPrefix], room: int) -> CopiedRows:
        counted = _together(prefixes)
        depths = range(len(prefixes[0].layers))
        layers = [_rows([(prefix.layers[depth], n) for prefix, n in counted]) for depth in depths]
        return CopiedRows(Cache(layers=layers), len(prefixes), self.device, prefixes[0].long)

    def read(self, passes: Sequence[Pass[CopiedPrefix]]) -> list[PassResult]:
        return [self._read(one, one.rows) for one in passes]

    def _read(self, one: Pass[CopiedPrefix], rows: Any) -> PassResult:
        with self._positions.held(rows.long), self._model.edited(one.edit, one.keep):
            return self._model.run(one.tokens, one.keep, one.layers, past_key_values=rows.cache)


def empty_cache(config: Any) -> Any:
    """A cache without tokens. Raises ModelError for models whose state cannot be shared between continuations."""
    cache = DynamicCache(config=config)
    strange = {type(layer).__name__ for layer in cache.layers if type(layer) not in _GROWS_BY_COPY}
    if strange:
        raise ModelError(
            f"models of type '{config.model_type}' keep a state of kind {', '.join(sorted(strange))}",
            where=str(getattr(config, "name_or_path", "model")),
            why="a search needs many continuations of one prefix, and this state is changed in place",
            fix=f"use a model with attention alone, such as Llama, Qwen3, Gemma or Mistral; or {SERVED}",
        )
    return cache


def _together(prefixes: Sequence[CopiedPrefix]) -> list[tuple[CopiedPrefix, int]]:
    """Neighbours that are one snapshot, counted."""
    counted: list[tuple[CopiedPrefix, int]] = []
    for prefix in prefixes:
        if counted and counted[-1][0] is prefix:
            counted[-1] = (prefix, counted[-1][1] + 1)
        else:
            counted.append((prefix, 1))
    return counted


def _rows(parts: Sequence[tuple[Any, int]]) -> Any:
    layer = copy.copy(parts[0][0])
    if layer.keys is not None and (len(parts) > 1 or parts[0][1] > 1):
        layer.keys = _repeated([(part.keys, n) for part, n in parts])
        layer.values = _repeated([(part.values, n) for part, n in parts])
    return layer


def _repeated(parts: Sequence[tuple[Tensor, int]]) -> Tensor:
    views = [tensor.expand(n, -1, -1, -1) for tensor, n in parts]
    return views[0] if len(views) == 1 else torch.cat(views)


def _cut(old: Any, now: Any, tokens: int) -> Any:
    """The layer `old` and the first `tokens` tokens that `now` has beyond it."""
    more = now.get_seq_length() - old.get_seq_length()
    if more <= tokens:
        return now
    layer = copy.copy(old)
    if tokens:
        layer.update(_new(now.keys, more)[:, :, :tokens], _new(now.values, more)[:, :, :tokens])
    return layer


def _new(tensor: Tensor, tokens: int) -> Tensor:
    return tensor[:, :, -tokens:]


def _row(layer: Any, row: int) -> Any:
    own = copy.copy(layer)
    if layer.keys is not None and layer.keys.shape[0] > 1:
        own.keys, own.values = layer.keys[row : row + 1].clone(), layer.values[row : row + 1].clone()
    return own
