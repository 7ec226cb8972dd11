"""A model to be run, and the hidden states of the layers that are asked for; nothing of answers, caches or trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ig_guardrail.engine.decoding.passes import PassResult
from ig_guardrail.errors import ModelError
from ig_guardrail.types import StateEdit

SERVED = "have a server run it, with engine 'openai_compatible'"  # what this engine does not run


class Model:
    """A `transformers` causal language model. Raises ModelError if its decoder layers are not at `model.layers`."""

    def __init__(self, model: Any) -> None:
        self.source = model
        self.layers = _decoder_layers(model)
        self.config = model.config.get_text_config()
        self.device: torch.device = model.device

    def run(
        self, tokens: Sequence[Sequence[int]], keep: int | Tensor, layers: Sequence[int], **keys: Any
    ) -> PassResult:
        """One forward over `tokens` (rows of one length); `keys` go to the model.

        keep: of how many last tokens the logits are wanted, or of which
        """
        ids = torch.tensor(tokens, device=self.device)
        with self._tapped(layers) as hidden:
            output = self.source(input_ids=ids, use_cache=True, logits_to_keep=keep, **keys)
        return PassResult(output.logits, hidden)

    @contextmanager
    def edited(self, edit: StateEdit | None, last: int) -> Iterator[None]:
        """Passes in which `edit` takes hold of the states of the last `last` tokens; with None, passes as ever."""
        if edit is None:
            yield
            return
        hook = self.layers[edit.layer - 1].register_forward_hook(_change(edit, last))
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def _tapped(self, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
        """Hooks that note the output of the given layers, for the length of one pass."""
        hidden: dict[int, Tensor] = {}
        hooks = [self.layers[layer - 1].register_forward_hook(_note(hidden, layer)) for layer in layers]
        try:
            yield hidden
        finally:
            for hook in hooks:
                hook.remove()


def _note(hidden: dict[int, Tensor], layer: int) -> Any:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        hidden[layer] = output[0] if isinstance(output, tuple) else output

    return hook


def _change(edit: StateEdit, last: int) -> Any:
    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        changed = torch.cat([states[:, :-last], edit.edited(states[:, -last:]).to(states.dtype)], dim=1)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return hook


def _decoder_layers(model: Any) -> Any:
    layers = getattr(getattr(model, "model", None), "layers", None)
    if layers is None:
        raise ModelError(
            f"the architecture {type(model).__name__} keeps its decoder layers where this engine does not look",
            where=str(model.config.name_or_path),
            why="hidden states are read from the modules at model.layers",
            fix=f"use a decoder model in the manner of Llama, Qwen, Gemma or Mistral; or {SERVED}",
        )
    return layers
