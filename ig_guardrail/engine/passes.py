"""One pass of the model over a batch: logits out, and the hidden states of the layers that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ig_guardrail.engine.cache import empty_cache
from ig_guardrail.errors import ModelError


@dataclass(frozen=True, slots=True)
class Reading:
    """What a pass gives: logits (rows, kept tokens, vocabulary), and layer -> states (rows, tokens, hidden size)."""

    logits: Tensor
    hidden: Mapping[int, Tensor]


class Passes:
    """A model to be read, and nothing of answers, sampling or trees.

    Raises ModelError for architectures whose decoder layers or cache are not understood.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layers = _decoder_layers(model)
        self.device: torch.device = model.device
        empty_cache(model.config)

    def new_cache(self) -> Any:
        """A cache without tokens."""
        return empty_cache(self._model.config)

    def read(self, cache: Any, tokens: Sequence[Sequence[int]], keep: int, layers: tuple[int, ...]) -> Reading:
        """Read `tokens` (rows of one length) on top of `cache`, which grows by them; logits of the last `keep`."""
        ids = torch.tensor(tokens, device=self.device)
        with self._tapped(layers) as hidden:
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=keep)
        return Reading(output.logits, hidden)

    @contextmanager
    def _tapped(self, layers: tuple[int, ...]) -> Iterator[dict[int, Tensor]]:
        """Hooks that note the output of the given layers, for the length of one pass."""
        hidden: dict[int, Tensor] = {}
        hooks = [self._layers[layer - 1].register_forward_hook(_note(hidden, layer)) for layer in layers]
        try:
            yield hidden
        finally:
            for hook in hooks:
                hook.remove()


def _note(hidden: dict[int, Tensor], layer: int) -> Any:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        hidden[layer] = output[0] if isinstance(output, tuple) else output

    return hook


def _decoder_layers(model: Any) -> Any:
    layers = getattr(getattr(model, "model", None), "layers", None)
    if layers is None:
        raise ModelError(
            f"the architecture {type(model).__name__} keeps its decoder layers where this engine does not look",
            where=str(model.config.name_or_path),
            why="hidden states are read from the modules at model.layers",
            fix="use a decoder model in the manner of Llama, Qwen, Gemma or Mistral",
        )
    return layers
