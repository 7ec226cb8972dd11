"""Decoder layers whose steps of few tokens are compiled but for products and attention, where that gives the same bits.

Of the fifty calls of torch that a short layer makes, a dozen are left. Steps of more tokens are read as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class _Whole:
    """What layers make of the same inputs, behind one another. Packed ones take bfloat16 numbers in float32 as well."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self._calls = [layer.forward for layer in layers]
        self._wide = all(isinstance(layer, PackedLinear) for layer in layers)

    def __call__(self, inputs: Tensor) -> Tensor:
        given = inputs if self._wide else inputs.to(torch.bfloat16)
        parts: list[Tensor] = [call(given) for call in self._calls]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


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
