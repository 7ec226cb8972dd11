"""Decoder layers by the same arithmetic in fewer calls, for steps of few tokens, where calls cost more than numbers.

A layer of `transformers` in the manner of Llama makes some seventy calls of torch a token, through ten modules. Here
it makes some thirty: queries, keys and values are one product, and so are both halves of the gated layer; queries and
keys are turned together; what can be is written in place. Every rounding is where it was, so the bits are the same.

Where it gives the same bits, all but products and attention is compiled for steps of few tokens, and a dozen calls are
left. Steps of more tokens are read as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ig_guardrail.engine.compiled import gate, norm, turn
from ig_guardrail.engine.loading.packing import PackedLinear, Share

MOST = 16  # tokens; what is compiled takes one after the other


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
        gating, up = self._gates(self._second(between))
        return self._down(functional.silu(gating).mul_(up)).add_(between)

    def _attended(self, normal: Tensor, positions: Any, plan: Any) -> Tensor:
        tokens = normal.shape[1]
        parts = [part.view(1, tokens, -1, self._size) for part in self._entry(normal)]
        for place, of in enumerate(self._head_norms):
            parts[place] = of(parts[place])
        both = torch.cat(parts[:2], dim=2)
        cosines, sines = plan.turns(positions)
        half = self._size // 2
        turned = torch.cat((both[..., half:], both[..., :half]), dim=3).mul_(sines)
        turned = both.mul_(cosines).add_(turned).transpose(1, 2)
        plan.update(turned[:, self._heads :], parts[2].transpose(1, 2), self._index)
        return plan.attend(self._index, turned[:, : self._heads], self._scale)  # type: ignore[no-any-return]


class CompiledLayer(ShortLayer):
    """A short layer that reads up to MOST tokens by compiled functions; of a layer that `may_compile` allows."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self._into, self._gates_whole = _Whole(self._entry.layers), _Whole(self._gates.layers)
        self._out_of, self._down_from = _Whole([layer.self_attn.o_proj]), _Whole([layer.mlp.down_proj])

    def forward(
        self, states: Tensor, position_embeddings: Any = None, ig_guardrail_plan: Any = None, **others: Any
    ) -> Any:
        """(1, tokens, hidden size) after the layer."""
        tokens = states.shape[1]
        if ig_guardrail_plan is None or tokens > MOST:
            return super().forward(states, position_embeddings, ig_guardrail_plan, **others)
        states = states.contiguous()
        entry = self._into(norm.norm(states, self._first.weight, self._first.epsilon))
        attended = self._attended_few(entry.view(1, tokens, -1, self._size), position_embeddings, ig_guardrail_plan)
        between = self._out_of(attended.reshape(1, tokens, -1)).add_(states)
        halves = self._gates_whole(norm.norm(between, self._second.weight, self._second.epsilon))
        return self._down_from(gate.gated(halves)).add_(between)

    def _attended_few(self, heads: Tensor, positions: Any, plan: Any) -> Tensor:
        turning = self._heads + self._key_heads
        values = heads[:, :, turning:].transpose(1, 2)
        if self._head_norms:
            queries, keys = heads[:, :, : self._heads], heads[:, :, self._heads : turning]
            heads = torch.cat([of(part) for of, part in zip(self._head_norms, (queries, keys), strict=True)], dim=2)
        cosines, sines = plan.turns(positions)
        turned = turn.turn(heads, cosines, sines, turning).transpose(1, 2)
        plan.update(turned[:, self._heads :], values, self._index)
        return plan.attend(self._index, turned[:, : self._heads], self._scale)  # type: ignore[no-any-return]


def may_compile(layer: Any) -> bool:
    """Whether it is in bfloat16 on a CPU, its sizes are whole vectors, and its norms added up in torch's order."""
    weight, config = layer.input_layernorm.weight, layer.self_attn.config
    return (
        weight.dtype is torch.bfloat16
        and weight.device.type == "cpu"
        and layer.self_attn.head_dim % turn.MULTIPLE == 0
        and config.intermediate_size % gate.MULTIPLE == 0
        and norm.adds_alike(weight.shape[0])
    )


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

    def __init__(self, layer: Any) -> None:
        self.weight, self.epsilon = layer.weight.detach(), layer.variance_epsilon

    def __call__(self, states: Tensor) -> Tensor:
        """Over the last axis."""
        wide = states.float()
        scale = wide.pow(2).mean(-1, keepdim=True).add_(self.epsilon).rsqrt_()
        normal: Tensor = self.weight * (wide * scale).to(states.dtype)
        return normal


class _Whole:
    """What layers make of the same inputs, behind one another. Packed ones take bfloat16 numbers in float32 as well."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self._calls = [layer.forward for layer in layers]
        self._wide = all(isinstance(layer, PackedLinear) for layer in layers)

    def __call__(self, inputs: Tensor) -> Tensor:
        given = inputs if self._wide else inputs.to(torch.bfloat16)
        parts: list[Tensor] = [call(given) for call in self._calls]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
