"""Keys and values of a prefix, kept so that any number of continuations can start from them.

A snapshot is never changed: growing a cache makes new tensors, so a snapshot only refers to those of its own length and
costs nothing to take. This is the strategy "repeat": candidates get copies of their common prefix.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from ig_guardrail.errors import ModelError

_GROWS_BY_COPY = (DynamicLayer, DynamicSlidingWindowLayer)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One prefix: its cache layers (one row each), and the logits (vocabulary,) of the token after it."""

    layers: tuple[Any, ...]
    logits: Tensor

    @property
    def length(self) -> int:
        """Tokens of the prefix."""
        return int(self.layers[0].get_seq_length())


def empty_cache(config: Any) -> Any:
    """A cache without tokens. Raises ModelError for models whose state cannot be shared between continuations."""
    cache = DynamicCache(config=config)
    strange = {type(layer).__name__ for layer in cache.layers if type(layer) not in _GROWS_BY_COPY}
    if strange:
        raise ModelError(
            f"models of type '{config.model_type}' keep a state of kind {', '.join(sorted(strange))}",
            where=str(getattr(config, "name_or_path", "model")),
            why="a search needs many continuations of one prefix, and this state is changed in place",
            fix="use a model with plain or sliding-window attention, such as Llama, Qwen, Gemma or Mistral",
        )
    return cache


def thaw(snapshots: Sequence[tuple[Snapshot, int]]) -> tuple[Any, Tensor]:
    """A cache with `n` rows for each (snapshot, n), all of one length, and the rows' logits (rows, vocabulary)."""
    layers = [
        _rows([(snapshot.layers[depth], n) for snapshot, n in snapshots])
        for depth in range(len(snapshots[0][0].layers))
    ]
    logits = [snapshot.logits.expand(n, -1) for snapshot, n in snapshots]
    return Cache(layers=layers), logits[0] if len(logits) == 1 else torch.cat(logits)


def freeze(cache: Any, row: int, logits: Tensor) -> Snapshot:
    """The snapshot of one row, with the logits (vocabulary,) after it."""
    return Snapshot(tuple(_row(layer, row) for layer in cache.layers), logits)


def keep_rows(cache: Any, rows: Sequence[int], device: torch.device) -> None:
    """Drop all other rows of a cache."""
    cache.batch_select_indices(torch.tensor(rows, device=device))


def _rows(parts: Sequence[tuple[Any, int]]) -> Any:
    layer = copy.copy(parts[0][0])
    if layer.keys is not None and (len(parts) > 1 or parts[0][1] > 1):
        layer.keys = _repeated([(part.keys, n) for part, n in parts])
        layer.values = _repeated([(part.values, n) for part, n in parts])
    return layer


def _repeated(parts: Sequence[tuple[Tensor, int]]) -> Tensor:
    views = [tensor.expand(n, -1, -1, -1) for tensor, n in parts]
    return views[0] if len(views) == 1 else torch.cat(views)


def _row(layer: Any, row: int) -> Any:
    own = copy.copy(layer)
    if layer.keys is not None and layer.keys.shape[0] > 1:
        own.keys, own.values = layer.keys[row : row + 1].clone(), layer.values[row : row + 1].clone()
    return own
