"""Short layers give the bits of the layers they replace, and replace only what they know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ig_guardrail.engine.decoding.passes import Pass
from ig_guardrail.engine.kv import short_layers
from ig_guardrail.engine.kv.laying_out import lay_out
from ig_guardrail.engine.kv.shared import Sharing
from ig_guardrail.engine.kv.short_layers import ShortLayer
from ig_guardrail.engine.loading import packing
from ig_guardrail.engine.loading.packing import Packer, pack
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.tree import RequestUsage
from tests.conformance.engine.tiny import tiny_weights

WIDE = {"hidden_size": 64, "intermediate_size": 96}


@dataclass(frozen=True, slots=True)
class Pushed:
    """An edit that pushes all states the same way."""

    layer: int

    def edited(self, states: Tensor) -> Tensor:
        return states + torch.linspace(-1, 1, states.shape[-1])


def loaded(architecture: str, dtype: torch.dtype, **changes: Any) -> Any:
    model = tiny_weights(architecture=architecture, **(WIDE | changes)).model
    for name, values in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(values)
    return model.to(dtype)


@torch.inference_mode()
def everything_read(model: Any) -> list[Tensor]:
    """Logits and states of a prompt, of lone tokens, of two tokens at once, of edited ones, and of several rows."""
    sharing, account, found = Sharing(Model(model)), RequestUsage(0), []

    def read(rows: Any, tokens: list[list[int]], edit: Pushed | None = None) -> Tensor:
        (reading,) = sharing.read([Pass(rows, tokens, len(tokens[0]), (1, 2), account, edit)])
        found.extend(part.clone() for part in (reading.logits, *reading.hidden.values()))
        return reading.logits[0, -1]

    rows: Any = sharing.empty(80)
    read(rows, [list(range(40))])
    for token in (5, 6, 7):
        read(rows, [[token]])
    logits = read(rows, [[8, 9]])
    read(rows, [[10]], Pushed(1))
    prefix = rows.freeze(0, logits)
    branches = sharing.start([prefix] * 3, 4)
    read(branches, [[1], [2], [3]])
    read(branches, [[4, 1], [5, 2], [6, 3]])
    return found


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("changes", [{}, {"attention_bias": True}])
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_short_layers_give_the_same_bits(architecture: str, dtype: torch.dtype, changes: dict[str, Any]) -> None:
    long, short = (loaded(architecture, dtype, **changes) for _ in range(2))
    pack(long)
    lay_out(short)
    assert all(type(layer) is ShortLayer for layer in short.model.layers)
    assert same(everything_read(short), everything_read(long))


@torch.inference_mode()
def test_a_pass_without_a_plan_is_the_models_own() -> None:
    long, short = (loaded("llama", torch.bfloat16) for _ in range(2))
    pack(long)
    lay_out(short)
    both = [Model(model).run([[1, 2, 3]], 3, (1,)) for model in (long, short)]
    assert torch.equal(both[0].logits, both[1].logits)
    assert torch.equal(both[0].hidden[1], both[1].hidden[1])


@pytest.mark.parametrize("architecture", ["gemma3", "mistral", "phi3", "granite"])
def test_other_layers_and_other_attention_stay_as_they_are(architecture: str) -> None:
    model = loaded(architecture, torch.bfloat16)
    before = [type(layer) for layer in model.model.layers]
    lay_out(model)
    assert [type(layer) for layer in model.model.layers] == before


def test_layers_that_came_out_otherwise_would_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    right = short_layers._Norm.__call__
    monkeypatch.setattr(short_layers._Norm, "__call__", lambda self, states: right(self, states) * 1.01)
    model = loaded("llama", torch.bfloat16)
    lay_out(model)
    assert not any(type(layer) is ShortLayer for layer in model.model.layers)


def test_products_that_would_round_otherwise_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    linears = [nn.Linear(64, outputs, bias=False).to(torch.bfloat16) for outputs in (64, 32)]
    if not isinstance(Packer().packed_or_same(linears[0]), packing.PackedLinear):
        pytest.skip("this build of torch cannot pack")
    assert Packer().joined_or_none(linears) is not None
    monkeypatch.setattr(packing, "_alike", lambda *_: False)
    assert Packer().joined_or_none(linears) is None
    long, short = (loaded("llama", torch.bfloat16) for _ in range(2))
    pack(long)
    lay_out(short)
    assert same(everything_read(short), everything_read(long))


def test_layers_with_a_bias_are_not_joined_with_those_without() -> None:
    linears = [nn.Linear(64, 32, bias=bias).to(torch.bfloat16) for bias in (True, False)]
    assert Packer().joined_or_none(linears) is None
    assert Packer().joined_or_none([linears[0], nn.Identity()]) is None
