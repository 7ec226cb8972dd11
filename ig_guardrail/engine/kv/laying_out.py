"""How the layers of a loaded model are laid out: packed, and read in few calls where that gives the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import SiLUActivation

from ig_guardrail.engine.kv.attention import TILE
from ig_guardrail.engine.kv.shared import Sharing, may_serve
from ig_guardrail.engine.kv.short_layers import CompiledLayer, ShortLayer, may_compile
from ig_guardrail.engine.loading.packing import Packer, Share, pack
from ig_guardrail.engine.loading.trials import Trials
from ig_guardrail.engine.model import Model

_KNOWN = {f"{name}DecoderLayer" for name in ("Llama", "Mistral", "Qwen2", "Qwen3")}  # others may differ within a model
_WHOLE_AND_ONE = (TILE, 1)  # tokens of the passes by which layers are compared
_FEW = (*[1] * 24, 2, 3, 4, 16)


def lay_out(model: Any, trials: Trials | None = None, name: str = "") -> None:
    """Pack the linear layers of a loaded model, and have its decoder layers read in few calls.

    Each way is tried on the last layer, and taken where it gives the same bits as the way before.

    trials  what was found before on this machine
    name    of the model in them: says which weights it has, and in which numbers
    """
    trials = trials or Trials()
    packer, short = Packer(trials=trials), trials.find(f"short {name}", lambda: _can_be_short(model))
    if short:
        for layer in model.model.layers:
            _join(layer.self_attn, ("q_proj", "k_proj", "v_proj"), packer)
            _join(layer.mlp, ("gate_proj", "up_proj"), packer)
    pack(model, packer)
    if short:
        compiled = trials.find(f"compiled {name}", lambda: _can_be_compiled(model))
        kind = CompiledLayer if compiled else ShortLayer
        model.model.layers = nn.ModuleList([kind(layer) for layer in model.model.layers])


def _join(module: nn.Module, names: Sequence[str], packer: Packer) -> None:
    linears: list[Any] = [getattr(module, name) for name in names]
    whole = packer.joined_or_none(linears)
    if whole is None:
        return
    start = 0
    for name, linear in zip(names, linears, strict=True):
        setattr(module, name, Share(whole, start, linear.out_features))
        start += linear.out_features


def _can_be_short(model: Any) -> bool:
    known = Model(model)
    if len(known.layers) < 2 or not may_serve(known) or not all(_is_known(layer) for layer in known.layers):
        return False
    return _same_bits(known, lambda layer: layer, ShortLayer, _WHOLE_AND_ONE)


def _is_known(layer: Any) -> bool:
    return type(layer).__name__ in _KNOWN and isinstance(layer.mlp.act_fn, SiLUActivation | nn.SiLU)


def _can_be_compiled(model: Any) -> bool:
    """Whether all its layers can, which are short ones otherwise."""
    known = Model(model)
    if not all(may_compile(layer) for layer in known.layers):
        return False
    return _same_bits(known, ShortLayer, CompiledLayer, _FEW)


@torch.inference_mode()
def _same_bits(model: Model, one: Callable[[Any], Any], other: Callable[[Any], Any], tokens: Sequence[int]) -> bool:
    """Whether the last layer gives the same in both forms, where it reads noise in passes of so many tokens."""
    last, size = model.layers[-1], model.config.hidden_size
    noise = torch.randn(1, sum(tokens), size, generator=torch.Generator().manual_seed(0)).to(model.device)
    found: list[list[Tensor]] = []
    try:
        for form in (one, other):
            model.layers[-1] = form(last)
            sharing = Sharing(model)
            rows = sharing.empty(sum(tokens))
            found.append([sharing.last_layer(rows, part) for part in torch.split(noise, list(tokens), dim=1)])
    except (AttributeError, IndexError, TypeError, ValueError, RuntimeError):
        return False
    finally:
        model.layers[-1] = last
    return all(map(torch.equal, *found))
