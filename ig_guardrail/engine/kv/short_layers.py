"""Decoder layers by the same arithmetic in fewer calls, for steps of few tokens, where calls cost more than numbers.

A layer of `transformers` in the manner of Llama makes some seventy calls of torch a token, through ten modules. Here
it makes some thirty: queries, keys and values are one product, and so are both halves of the gated layer; queries and
keys are turned together; what can be is written in place.
Every rounding is where it was, so the bits are the same: that is tried on each model before it is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers.activations import SiLUActivation

from ig_guardrail.engine.kv.attention import TILE
from ig_guardrail.engine.kv.shared import Sharing, may_serve
from ig_guardrail.engine.loading.packing import Packer, Share, pack
from ig_guardrail.engine.model import Model

_KNOWN = {f"{name}DecoderLayer" for name in ("Llama", "Mistral", "Qwen2", "Qwen3")}  # others may differ within a model


class ShortLayer(nn.Module):
    """A decoder layer that reads by a plan of shared prefixes in fewer calls, and otherwise as it always did."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        attention, gated = layer.self_attn, layer.mlp
        self._index, self._size, self._scale = attention.layer_idx, attention.head_dim, attention.scaling
        self._heads = attention.config.num_attention_heads
        self._entry = _Products([attention.q_proj, attention.k_proj, attention.v_proj])
        self._gates = _Products([gated.gate_proj, gated.up_proj])
        self._out, self._down = attention.o_proj.forward, gated.down_proj.forward  # no hooks: only layers have some
        self._first, self._second = _Norm(layer.input_layernorm), _Norm(layer.post_attention_layernorm)
        self._head_norms = [
            _Norm(getattr(attention, name)) for name in ("q_norm", "k_norm") if hasattr(attention, name)
        ]

    def forward(
        self, states: Tensor, position_embeddings: Any = None, ig_guardrail_plan: Any = None, **others: Any
    ) -> Any:
        """(1, tokens, hidden size) after the layer."""
        if ig_guardrail_plan is None:
            return self.layer(states, position_embeddings=position_embeddings, **others)
        attended = self._attended(self._first(states), position_embeddings, ig_guardrail_plan)
        between = self._out(attended.reshape(1, states.shape[1], -1)).add_(states)
        gate, up = self._gates(self._second(between))
        return self._down(functional.silu(gate).mul_(up)).add_(between)

    def _attended(self, normal: Tensor, positions: Any, plan: Any) -> Tensor:
        tokens = normal.shape[1]
        parts = [part.view(1, tokens, -1, self._size) for part in self._entry(normal)]
        for place, norm in enumerate(self._head_norms):
            parts[place] = norm(parts[place])
        both = torch.cat(parts[:2], dim=2)
        cosines, sines = plan.turns(positions)
        half = self._size // 2
        turned = torch.cat((both[..., half:], both[..., :half]), dim=3).mul_(sines)
        turned = both.mul_(cosines).add_(turned).transpose(1, 2)
        plan.update(turned[:, self._heads :], parts[2].transpose(1, 2), self._index)
        return plan.attend(self._index, turned[:, : self._heads], self._scale)  # type: ignore[no-any-return]


class _Products:
    """What several linear layers make of the same inputs: by one product where they are shares of one."""

    def __init__(self, linears: Sequence[Any]) -> None:
        wholes = {id(linear.whole): linear.whole for linear in linears if isinstance(linear, Share)}
        one = len(wholes) == 1 and all(isinstance(linear, Share) for linear in linears)
        self.layers: list[Any] = list(wholes.values()) if one else list(linears)
        self._calls = [layer.forward for layer in self.layers]
        self._parts = [linear.outputs for linear in linears] if one else None

    def __call__(self, inputs: Tensor) -> Sequence[Tensor]:
        if self._parts is None:
            return [call(inputs) for call in self._calls]
        return self._calls[0](inputs).split(self._parts, dim=-1)  # type: ignore[no-any-return]


class _Norm:
    """The arithmetic of `LlamaRMSNorm`."""

    def __init__(self, norm: Any) -> None:
        self._weight, self._epsilon = norm.weight.detach(), norm.variance_epsilon

    def __call__(self, states: Tensor) -> Tensor:
        """Over the last axis."""
        wide = states.float()
        scale = wide.pow(2).mean(-1, keepdim=True).add_(self._epsilon).rsqrt_()
        normal: Tensor = self._weight * (wide * scale).to(states.dtype)
        return normal


def lay_out(model: Any) -> None:
    """Pack the linear layers of a loaded model, and shorten its decoder layers where that gives the same bits."""
    packer, short = Packer(), _can_be_short(model)
    if short:
        for layer in model.model.layers:
            _join(layer.self_attn, ("q_proj", "k_proj", "v_proj"), packer)
            _join(layer.mlp, ("gate_proj", "up_proj"), packer)
    pack(model, packer)
    if short:
        model.model.layers = nn.ModuleList([ShortLayer(layer) for layer in model.model.layers])


def _join(module: nn.Module, names: Sequence[str], packer: Packer) -> None:
    linears: list[Any] = [getattr(module, name) for name in names]
    whole = packer.joined_or_none(linears)
    if whole is None:
        return
    start = 0
    for name, linear in zip(names, linears, strict=True):
        setattr(module, name, Share(whole, start, linear.out_features))
        start += linear.out_features


@torch.inference_mode()
def _can_be_short(model: Any) -> bool:
    """Whether its layers are made of what is known, and the last one gives the same bits: a block, then one token."""
    known = Model(model)
    if len(known.layers) < 2 or not may_serve(known) or not all(_is_known(layer) for layer in known.layers):
        return False
    last, size = known.layers[-1], known.config.hidden_size
    noise = torch.randn(1, TILE + 1, size, generator=torch.Generator().manual_seed(0)).to(known.device)
    found = []
    try:
        for layer in (last, ShortLayer(last)):
            known.layers[-1] = layer
            sharing = Sharing(known)
            rows = sharing.empty(TILE + 1)
            found.append([sharing.last_layer(rows, part) for part in (noise[:, :TILE], noise[:, TILE:])])
    except (AttributeError, IndexError, TypeError, ValueError, RuntimeError):
        return False
    finally:
        known.layers[-1] = last
    return all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def _is_known(layer: Any) -> bool:
    return type(layer).__name__ in _KNOWN and isinstance(layer.mlp.act_fn, SiLUActivation | nn.SiLU)
