"""What is compiled for steps of few tokens gives torch's bits, and is left where it would not."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ig_guardrail.engine.compiled import gate, norm, product, turn
from ig_guardrail.engine.kv import short_layers
from ig_guardrail.engine.kv.laying_out import lay_out
from ig_guardrail.engine.kv.short_layers import CompiledLayer
from ig_guardrail.engine.loading import packing
from ig_guardrail.engine.loading.packing import PackedLinear, Packer, pack
from ig_guardrail.engine.loading.quantized import quantize
from tests.unit.engine.test_short_layers import everything_read, loaded, same

HEADS = {"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 4, "num_key_value_heads": 2}
ON_TILES = torch.cpu._is_amx_tile_supported()  # the processor whose order of additions is written here


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5)).to(torch.bfloat16)


def packed(inputs: int, outputs: int, bias: bool = False) -> PackedLinear:
    torch.manual_seed(4)
    layer = Packer().packed_or_same(nn.Linear(inputs, outputs, bias=bias).to(torch.bfloat16).eval())
    if not isinstance(layer, PackedLinear):
        pytest.skip("this build of torch cannot pack")
    return layer


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(576, 960), (1536, 576), (96, 64), (4864, 896)])
def test_a_compiled_product_is_the_sum_in_the_order_of_tiles(inputs: int, outputs: int, bias: bool) -> None:
    """Whatever order the processor's own kernels have: compared with the same additions, one by one."""
    torch.manual_seed(4)
    linear = nn.Linear(inputs, outputs, bias=bias).to(torch.bfloat16)
    layout = product.blocked(linear.weight.detach())
    for rows in range(1, product.FEW + 1):
        read = noise(rows, inputs)
        found = product.product(read, layout.data_ptr(), outputs, linear.bias)
        assert torch.equal(found, in_the_order_of_tiles(read, linear)), rows
        assert torch.equal(product.product(read.float(), layout.data_ptr(), outputs, linear.bias), found)


def in_the_order_of_tiles(rows: Tensor, linear: nn.Linear) -> Tensor:
    wide, weight = rows.float(), linear.weight.float()
    total = torch.zeros(len(rows), len(weight))
    for start in range(0, rows.shape[1], product.TILE):
        even, odd = torch.zeros_like(total), torch.zeros_like(total)
        for place in range(start, start + product.TILE, 2):
            even += wide[:, place, None] * weight[None, :, place]
            odd += wide[:, place + 1, None] * weight[None, :, place + 1]
        total += even + odd
    return (total if linear.bias is None else total + linear.bias.float()).to(torch.bfloat16)


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(96, 576), (576, 960), (1536, 576), (4864, 896)])
def test_few_rows_have_the_bits_of_many(inputs: int, outputs: int, bias: bool) -> None:
    layer = packed(inputs, outputs, bias)
    assert layer.few == (product.FEW if ON_TILES else layer.few)
    rows = noise(300, 1, inputs)
    many = torch.cat([layer(part) for part in rows.split(16)])
    for count in range(1, product.FEW + 1):
        assert torch.equal(torch.cat([layer(part) for part in rows.split(count)]), many), count


def test_layers_that_do_not_fill_blocks_are_read_by_torch() -> None:
    for inputs, outputs in ((96, 160), (80, 64)):
        assert packed(inputs, outputs).few == 0


def test_a_product_with_other_bits_or_another_layout_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    right = product.product
    monkeypatch.setattr(product, "product", lambda *given: right(*given) * 1.01)
    assert packed(96, 64).few == 0
    monkeypatch.undo()
    monkeypatch.setattr(product, "blocked", lambda weight: weight.reshape(-1))
    assert packed(96, 64).few == 0


@torch.inference_mode()
def test_several_threads_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = packed(96, 64)
    rows, called = noise(1, 1, 96), []
    usual = PackedLinear.few_rows
    monkeypatch.setattr(PackedLinear, "few_rows", lambda *given: (called.append(1), usual(*given))[1])
    layer.few = product.FEW
    layer(rows)
    torch.set_num_threads(2)
    layer(rows)
    assert len(called) == 1


@torch.inference_mode()
@pytest.mark.parametrize("size", [64, 576, 896, 1024, 2304, 4096, 16384])
def test_a_norm_has_the_bits_of_torchs(size: int) -> None:
    if not norm.adds_alike(size):
        pytest.skip("this build of torch adds squares in another order")
    weight = noise(size)
    usual = short_layers._Norm(SimpleNamespace(weight=weight, variance_epsilon=1e-5))
    states = noise(200, 3, size) * torch.logspace(-3, 3, 200)[:, None, None].to(torch.bfloat16)
    found = norm.norm(states, weight, 1e-5)
    assert found.dtype is torch.float32
    assert torch.equal(found, usual(states).float())


def test_sizes_without_whole_vectors_are_told() -> None:
    assert not norm.adds_alike(norm.MULTIPLE + 1)


@torch.inference_mode()
def test_gated_units_have_the_bits_of_torchs() -> None:
    halves = noise(40, 3, 2 * 1536) * 4
    expected = functional.silu(halves[..., :1536]) * halves[..., 1536:]
    assert torch.equal(gate.gated(halves), expected.float())


@torch.inference_mode()
@pytest.mark.parametrize("size", [32, 64, 96, 128])
def test_heads_are_turned_with_the_bits_of_torchs(size: int) -> None:
    heads, cosines, sines = noise(1, 15, 4, size).transpose(1, 2), noise(1, 4, 1, size), noise(1, 4, 1, size)
    both = heads[:, :, :12].clone()
    across = torch.cat((both[..., size // 2 :], both[..., : size // 2]), dim=3) * sines
    assert torch.equal(turn.turn(heads, cosines, sines, 12), both * cosines + across)


@pytest.mark.parametrize("changes", [{}, {"attention_bias": True}])
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_compiled_layers_give_the_same_bits(architecture: str, changes: dict[str, Any]) -> None:
    sizes = HEADS | changes | {"head_dim": 32}
    long, short = (loaded(architecture, torch.bfloat16, **sizes) for _ in range(2))
    pack(long)
    lay_out(short)
    assert {type(layer) for layer in short.model.layers} == {CompiledLayer}
    assert same(everything_read(short), everything_read(long))
    torch.set_num_threads(2)
    assert same(everything_read(short), everything_read(long))


@pytest.mark.parametrize("packable", [True, False])
def test_layers_are_compiled_around_products_that_are_not(monkeypatch: pytest.MonkeyPatch, packable: bool) -> None:
    """As on processors without tiles, and on those for which torch packs nothing."""
    monkeypatch.setattr(packing, "_few", lambda *_: 0)
    if not packable:
        monkeypatch.setattr(Packer, "packed_or_same", lambda _, linear: linear)
    long, short = (loaded("llama", torch.bfloat16, **HEADS | {"head_dim": 32}) for _ in range(2))
    pack(long)
    lay_out(short)
    assert {type(layer) for layer in short.model.layers} == {CompiledLayer}
    assert same(everything_read(short), everything_read(long))


@pytest.mark.parametrize("weights", ["int4", "float32"])
def test_layers_of_other_weights(weights: str) -> None:
    long, short = (loaded("llama", torch.float32, **HEADS | {"head_dim": 32}) for _ in range(2))
    if weights == "int4":
        quantize(long)
        quantize(short)
    lay_out(short)
    assert {type(layer) for layer in short.model.layers} == {
        CompiledLayer if weights == "int4" else short_layers.ShortLayer
    }
    assert same(everything_read(short), everything_read(long))


def test_layers_whose_compiled_form_came_out_otherwise_stay_short(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gate.gated
    monkeypatch.setattr(gate, "gated", lambda halves: right(halves) * 1.01)
    assert layers_of_a_model() == {short_layers.ShortLayer}


def test_layers_of_sizes_that_are_not_whole_vectors_stay_short(monkeypatch: pytest.MonkeyPatch) -> None:
    assert layers_of_a_model(head_dim=16) == {short_layers.ShortLayer}
    assert layers_of_a_model(intermediate_size=200) == {short_layers.ShortLayer}
    monkeypatch.setattr(norm, "adds_alike", lambda size: False)
    assert layers_of_a_model() == {short_layers.ShortLayer}


def layers_of_a_model(**changes: Any) -> set[type]:
    model = loaded("llama", torch.bfloat16, **HEADS | {"head_dim": 32} | changes)
    lay_out(model)
    return {type(layer) for layer in model.model.layers}
