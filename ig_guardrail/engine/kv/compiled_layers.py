"""Decoder layers whose steps of a few tokens are compiled, where that gives the same bits.

What is left to torch in such a step is attention and two sums. On one thread; all other steps are read as they were.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ig_guardrail.engine.compiled import gate, norm, turn
from ig_guardrail.engine.compiled.product import FEW
from ig_guardrail.engine.kv.short_layers import ShortLayer
from ig_guardrail.engine.loading.packing import PackedLinear, Share


class CompiledLayer(ShortLayer):
    """A short layer that reads up to FEW tokens by compiled functions; of a layer that `may_compile` allows."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self._entry_few, self._out_few, self._gates_few, self._down_few = [one.few_rows for one in _products(layer)]

    def forward(
        self, states: Tensor, position_embeddings: Any = None, ig_guardrail_plan: Any = None, **others: Any
    ) -> Any:
        """(1, tokens, hidden size) after the layer."""
        tokens = states.shape[1]
        if ig_guardrail_plan is None or tokens > FEW or torch.get_num_threads() > 1:
            return super().forward(states, position_embeddings, ig_guardrail_plan, **others)
        states = states.contiguous()
        entry = self._entry_few(norm.norm(states, self._first.weight, self._first.epsilon))
        attended = self._attended_few(entry.view(1, tokens, -1, self._size), position_embeddings, ig_guardrail_plan)
        between = self._out_few(attended.reshape(1, tokens, -1)).add_(states)
        gates = self._gates_few(norm.norm(between, self._second.weight, self._second.epsilon))
        return self._down_few(gate.gated(gates)).add_(between)

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
    """Whether a layer's products are compiled, its heads are whole vectors, and its norms added up in torch's order."""
    size = layer.self_attn.head_dim
    return (
        all(isinstance(one, PackedLinear) and one.few for one in _products(layer))
        and size % turn.MULTIPLE == 0
        and layer.input_layernorm.weight.dtype is torch.bfloat16
        and norm.adds_alike(layer.input_layernorm.weight.shape[0])
    )


def _products(layer: Any) -> list[Any]:
    """Of the attention's entry, its end, the gates and what leads out of them: those of several layers by the whole."""
    first, out, gates, down = layer.self_attn.q_proj, layer.self_attn.o_proj, layer.mlp.gate_proj, layer.mlp.down_proj
    return [one.whole if isinstance(one, Share) else one for one in (first, out, gates, down)]
