"""Packed linear layers give what the layers they replace give, and only those are replaced that can be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ig_guardrail.engine.loading import packing
from ig_guardrail.engine.loading.packing import PackedLinear, Packer, Share, Widths, pack
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


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(96, 576), (576, 576), (576, 1536), (1536, 576), (2048, 576), (4864, 896)]
)
def test_a_row_has_the_same_bits_whoever_is_read_beside_it(inputs: int, outputs: int) -> None:
    """Kernels may add products in another order for a lone row, or for many: one output in thousands then differs."""
    layer = linear(inputs, outputs)
    packed = Packer().packed_or_same(layer)
    if packed is layer:
        pytest.skip("this build of torch cannot pack")
    rows = torch.randn(600, 1, inputs).to(torch.bfloat16)
    with torch.inference_mode():
        whole = packed(rows)
        for size in (1, 2, 3, 8, 17, 32, 33, 64, 65, 128, 129, 512, 576):
            assert torch.equal(torch.cat([packed(part) for part in rows.split(size)]), whole), size


def test_a_row_of_the_widest_layer_has_the_same_bits_whoever_is_read_beside_it() -> None:
    layer = linear(576, 49152)
    packed = Packer().packed_or_same(layer)
    if packed is layer:
        pytest.skip("this build of torch cannot pack")
    rows = torch.randn(128, 1, 576).to(torch.bfloat16)
    with torch.inference_mode():
        whole = packed(rows)
        for size in (1, 5, 8, 32, 33, 64):
            assert torch.equal(torch.cat([packed(part) for part in rows.split(size)]), whole), size


def test_what_is_too_wide_or_too_narrow_for_equal_bits_is_read_in_parts() -> None:
    layer = linear()
    packed = Packer().packed_or_same(layer)
    if not isinstance(packed, PackedLinear):
        pytest.skip("this build of torch cannot pack")
    read: list[int] = []
    product = packed._product
    packed._product = lambda inputs: (read.append(len(inputs)), product(inputs))[1]  # type: ignore[method-assign]
    packed.widths = Widths(least=4, most=16)
    inputs = torch.randn(37, 1, 96).to(torch.bfloat16)
    with torch.inference_mode():
        for rows, widths in ((1, [4]), (4, [4]), (16, [16]), (37, [16, 16, 5]), (34, [16, 16, 4])):
            read.clear()
            out = packed(inputs[:rows])
            assert out.shape == (rows, 1, 160)
            assert torch.allclose(out.float(), layer(inputs[:rows]).float(), atol=0.02, rtol=0.02)
            assert read == widths
        assert packed(inputs[:0]).shape == (0, 1, 160)


@pytest.mark.parametrize("bias", [False, True])
def test_a_packed_layer_tells_its_weights_to_models_that_read_them(bias: bool) -> None:
    layers = [linear(outputs=outputs, bias=bias) for outputs in (160, 32)]
    whole = Packer().joined_or_none(layers)
    if whole is None:
        pytest.skip("this build of torch cannot pack, or not as one")
    for layer, share in zip(layers, (Share(whole, 0, 160), Share(whole, 160, 32)), strict=True):
        assert torch.equal(share.weight, layer.weight)
        assert share.bias is None if layer.bias is None else torch.equal(share.bias, layer.bias)  # type: ignore[arg-type]


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


@pytest.mark.parametrize("bias", [False, True])
def test_each_layer_is_laid_out_once(monkeypatch: pytest.MonkeyPatch, bias: bool) -> None:
    laid_out = counted(monkeypatch, PackedLinear, "__init__")
    model = nn.ModuleList([linear(bias=bias), linear(bias=bias), linear(outputs=64)])
    if not pack(model):
        pytest.skip("this build of torch cannot pack")
    assert len(laid_out) == 3


def test_layers_are_joined_by_trying_the_widths_of_the_whole_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out, tried = counted(monkeypatch, PackedLinear, "__init__"), counted(monkeypatch, packing, "_same_bits")
    packer, parts = Packer(), [linear(outputs=160), linear(outputs=64)]
    if packer.joined_or_none(parts) is None:
        pytest.skip("this build of torch cannot pack, or joins with other bits")
    assert (len(laid_out), len(tried)) == (3, 1)  # the whole, and the parts that it is compared with
    assert packer.joined_or_none(parts) is not None
    assert (len(laid_out), len(tried)) == (4, 1)


def counted(monkeypatch: pytest.MonkeyPatch, place: object, name: str) -> list[Any]:
    """What a function is called with from now on."""
    called: list[Any] = []
    usual = getattr(place, name)

    def noting(*given: Any) -> Any:
        called.append(given)
        return usual(*given)

    monkeypatch.setattr(place, name, noting)
    return called


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
