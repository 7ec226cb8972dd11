"""Decoder layers by the same arithmetic in fewer calls, for steps of few tokens, where calls cost more than numbers.

A layer of `transformers` in the manner of Llama makes some seventy calls of torch a token, through ten modules. Here
it makes some thirty: queries, keys and values are one product, and so are both halves of the gated layer; queries and
keys are turned together; what can be is written in place. Every rounding is where it was, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ig_guardrail.engine.loading.packing import Share


class ShortLayer(nn.Module):
    """A decoder layer that reads by a plan of shared prefixes in fewer calls, and otherwise as it always did."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        attention, gated = layer.self_attn, layer.mlp
        self._index, self._size, self._scale = attention.layer_idx, attention.head_dim, attention.scaling
        self._heads, self._key_heads = attention.config.num_attention_heads, attention.config.num_key_value_heads
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
        self.weight, self.epsilon = norm.weight.detach(), norm.variance_epsilon

    def __call__(self, states: Tensor) -> Tensor:
        """Over the last axis."""
        wide = states.float()
        scale = wide.pow(2).mean(-1, keepdim=True).add_(self.epsilon).rsqrt_()
        normal: Tensor = self.weight * (wide * scale).to(states.dtype)
        return normal
