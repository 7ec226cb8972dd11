"""Packed linear layers give what the layers they replace give, and only those are replaced that can be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ig_guardrail.engine.loading.packing import PackedLinear, Packer, pack
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Draw, Message, Sampling
from tests.conformance.engine.tiny import tiny_weights


def linear(inputs: int = 96, outputs: int = 160, bias: bool = False) -> nn.Linear:
    torch.manual_seed(4)
    return nn.Linear(inputs, outputs, bias=bias).to(torch.bfloat16).eval()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (8, 1), (33, 1), (1, 70)])
def test_a_packed_layer_gives_what_the_layer_gives(shape: tuple[int, int], bias: bool) -> None:
    layer = linear(bias=bias)
    packed = Packer().packed_or_same(layer)
    if packed is layer:
        pytest.skip("this build of torch cannot pack")
    inputs = torch.randn(*shape, 96).to(torch.bfloat16)
    with torch.inference_mode():
        assert torch.allclose(packed(inputs).float(), layer(inputs).float(), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("inputs", [96, 576, 1536, 2048])
def test_a_row_has_the_same_bits_whoever_is_read_beside_it(inputs: int) -> None:
    """With many inputs, kernels may add those of a lone row in another order; one output in thousands then differs."""
    layer = linear(inputs, 576)
    packed = Packer().packed_or_same(layer)
    if packed is layer:
        pytest.skip("this build of torch cannot pack")
    rows = torch.randn(256, 1, inputs).to(torch.bfloat16)
    with torch.inference_mode():
        whole = packed(rows)
        for size in (1, 2, 3, 8, 11, 33, 64, 200):
            assert torch.equal(torch.cat([packed(part) for part in rows.split(size)]), whole)


def test_other_layers_are_left_alone() -> None:
    class Own(nn.Linear):
        pass

    model = nn.ModuleList([linear().float(), Own(4, 4, dtype=torch.bfloat16), nn.LayerNorm(4)])
    before = [type(layer) for layer in model]
    assert pack(model) == 0
    assert [type(layer) for layer in model] == before


def test_a_build_that_cannot_pack_or_packs_wrongly_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: PackedLinear, *_: object) -> None:
        raise AttributeError("no such operator")

    model = nn.ModuleList([linear()])
    monkeypatch.setattr(PackedLinear, "__init__", missing)
    assert pack(model) == 0
    monkeypatch.undo()
    monkeypatch.setattr(PackedLinear, "forward", lambda self, inputs: torch.zeros(*inputs.shape[:-1], 160))
    assert pack(model) == 0
    assert type(model[0]) is nn.Linear


def test_an_engine_with_packed_layers_draws_the_same_tokens() -> None:
    drawn = []
    for wish in (False, True):
        weights = tiny_weights(hidden_size=64, intermediate_size=96)
        weights.model.to(torch.bfloat16)
        if wish:
            pack(weights.model)
        engine = TransformersEngine(weights)
        sampling = Sampling(temperature=1.0, logit_bias=((262, -1e4),))
        root = engine.open(engine.encode((Message("user", "Tell me about the sea."),)), sampling, (1,)).result()
        drawn.append([node.ids for node in engine.extend([Draw(root, 3)], 12).result()])
        engine.shutdown()
    assert drawn[0] == drawn[1]
