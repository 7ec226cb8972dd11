"""Decoder layers whose steps of few tokens are compiled but for products and attention, where that gives the same bits.

Of the fifty calls of torch that a short layer makes, a dozen are left. Steps of more tokens are read as they were.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ig_guardrail.engine.compiled import gate, norm, turn
from ig_guardrail.engine.kv.short_layers import ShortLayer
from ig_guardrail.engine.loading.packing import PackedLinear

MOST = 16  # tokens; what is compiled takes one after the other


class CompiledLayer(ShortLayer):
    """A short layer that reads up to MOST tokens by compiled functions; of a layer that `may_compile` allows."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self._products = [one.forward for one in _products(layer)]

    def forward(
        self, states: Tensor, position_embeddings: Any = None, ig_guardrail_plan: Any = None, **others: Any
    ) -> Any:
        """(1, tokens, hidden size) after the layer."""
        tokens = states.shape[1]
        if ig_guardrail_plan is None or tokens > MOST:
            return super().forward(states, position_embeddings, ig_guardrail_plan, **others)
        into, out, gates, down = self._products
        states = states.contiguous()
        entry = into(norm.norm(states, self._first.weight, self._first.epsilon))
        attended = self._attended_few(entry.view(1, tokens, -1, self._size), position_embeddings, ig_guardrail_plan)
        between = out(attended.reshape(1, tokens, -1)).add_(states)
        halves = gates(norm.norm(between, self._second.weight, self._second.epsilon))
        return down(gate.gated(halves)).add_(between)

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
    """Whether a layer's products are packed, its sizes whole vectors, and its norms added up in torch's order."""
    size = layer.self_attn.head_dim
    return (
        all(isinstance(one, PackedLinear) for one in _products(layer))
        and layer.mlp.gate_proj.outputs % gate.MULTIPLE == 0
        and size % turn.MULTIPLE == 0
        and layer.input_layernorm.weight.dtype is torch.bfloat16
        and norm.adds_alike(layer.input_layernorm.weight.shape[0])
    )


def _products(layer: Any) -> list[Any]:
    """Into the attention and out of it, and the same of the gated layer. What is not joined is no packed layer here."""
    attention, gated = layer.self_attn, layer.mlp
    into, gates = (getattr(one, "whole", None) for one in (attention.q_proj, gated.gate_proj))
    return [into, attention.o_proj, gates, gated.down_proj]
