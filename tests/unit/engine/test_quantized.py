"""Quantised layers: codes that are found again, kernels that agree with their dense copies, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ig_guardrail.engine.loading import packing, quantized
from ig_guardrail.engine.loading.models import load_engine, load_weights, numerics_of
from ig_guardrail.engine.loading.quantized import FEW, GROUP, QuantizedLinear, Quantizer, four_bits, quantize
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import RequestError
from ig_guardrail.types import Draw, Message, Sampling
from tests.conformance.engine.tiny import tiny_weights
from tests.examples import examples

TURNS = (Message("user", "Tell me about the sea."),)


def layer(bias: bool = False, inputs: int = 64, outputs: int = 96) -> nn.Linear:
    torch.manual_seed(5)
    return nn.Linear(inputs, outputs, bias=bias).eval()


def test_dense_copies_are_not_tried_with_few_rows_which_kernels_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    monkeypatch.setattr(packing, "_few", lambda *given: tried.append(given) or 0)
    Quantizer().four_bits(layer())
    assert tried == []


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 10**6))
def test_weights_that_were_quantised_in_groups_are_found_again(seed: int) -> None:
    """As in GGUF Q4_1: a scale and a minimum in half precision, codes from 0 to 15, both ends in use."""
    luck = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 16, (6, 4, GROUP), generator=luck)
    codes[..., 0], codes[..., 1] = 0, 15
    scales = (torch.rand(6, 4, 1, generator=luck) * 0.1 + 1e-3).half()
    low = (-torch.rand(6, 4, 1, generator=luck)).half()
    weight = (codes * scales.float() + low.float()).flatten(1).half()
    found, found_scales, zeros = four_bits(weight)
    assert torch.equal(found, codes.flatten(1).float())
    assert torch.allclose(found_scales, scales[..., 0].float(), rtol=0.02)
    assert torch.allclose(zeros, low[..., 0].float() + 8 * scales[..., 0].float(), atol=2e-3)


def test_a_group_of_equal_weights_stays_itself() -> None:
    codes, scales, zeros = four_bits(torch.full((2, GROUP), -0.75))
    assert torch.allclose((codes - 8) * scales + zeros, torch.full((2, GROUP), -0.75))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("make", [lambda one: Quantizer().four_bits(one), lambda one: Quantizer().eight_bits(one)])
def test_the_kernel_and_the_dense_copy_agree(make: Any, bias: bool) -> None:
    made, original = make(layer(bias)), layer(bias)
    for rows in (1, FEW, FEW + 1, 40):
        inputs = torch.randn(rows, 1, 64).bfloat16()
        with torch.inference_mode():
            found, dense = made(inputs).float(), made._dense(inputs).float()
            exact = original(inputs.float())
        assert found.shape == exact.shape
        assert (found - dense).norm() <= 0.01 * dense.norm()
        assert (found - exact).norm() <= 0.12 * exact.norm(), "rounding to 4 bits, and no more than that"


def test_where_a_kernel_is_missing_or_wrong_the_dense_copy_serves_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise NotImplementedError

    expected = Quantizer().four_bits(layer())
    inputs = torch.randn(2, 64).bfloat16()
    monkeypatch.setattr(quantized.Int4Kernel, "__init__", missing)
    without = Quantizer().four_bits(layer())
    monkeypatch.undo()
    monkeypatch.setattr(quantized.Int4Kernel, "forward", lambda self, rows: torch.zeros(len(rows), 96))
    wrong = Quantizer().four_bits(layer())
    assert isinstance(without, QuantizedLinear)
    for made in (without, wrong):
        assert made._kernel is None
        assert torch.equal(made(inputs), expected._dense(inputs))


def test_an_engine_runs_on_quantised_weights() -> None:
    weights = tiny_weights(hidden_size=64, intermediate_size=96)
    quantize(weights.model)
    linears = [one for one in weights.model.modules() if isinstance(one, QuantizedLinear)]
    assert len(linears) == 2 * 7 + 1
    assert weights.model.model.rotary_emb.inv_freq.dtype is torch.float32, "positions need their precision"
    assert not any(type(one) is nn.Linear for one in weights.model.model.modules() if one not in linears)
    engine = TransformersEngine(weights)
    sampling = Sampling(temperature=1.0, logit_bias=((262, -1e4),))
    root = engine.open(engine.encode(TURNS), sampling, (1,)).result()
    (whole,) = engine.extend([Draw(root)], 12).result()
    node = root
    for size in (5, 7):
        (node,) = engine.extend([Draw(node)], size).result()
    assert node.answer_ids() == whole.ids
    assert len(engine.extend([Draw(root, 20)], 3).result()) == 20
    engine.shutdown()


@pytest.mark.parametrize("architecture", ["longcat_flash", "youtu"])
def test_models_that_compute_with_weights_themselves_are_told_what_these_stand_for(architecture: str) -> None:
    weights = tiny_weights(architecture=architecture)
    quantize(weights.model)
    engine = TransformersEngine(weights)
    root = engine.open(engine.encode(TURNS), Sampling(temperature=1.0)).result()
    assert engine.extend([Draw(root, 2)], 4).result()
    engine.shutdown()


def test_a_folder_is_loaded_quantised_and_says_so(tmp_path: Path) -> None:
    weights = tiny_weights(hidden_size=64, intermediate_size=96)
    weights.model.save_pretrained(tmp_path)
    weights.tokenizer.save_pretrained(tmp_path)
    engine = load_engine(str(tmp_path), device="cpu", weights="int4")
    assert engine.info.numerics == "int4"
    assert load_engine(str(tmp_path), device="cpu", weights="bf16").info.numerics == "bfloat16"
    assert load_weights(str(tmp_path), "cpu", "int4").numerics == "int4"
    engine.shutdown()


@pytest.mark.parametrize(
    ("dtype", "weights", "expected"),
    [
        ("auto", "auto", "bfloat16"),
        ("auto", "bf16", "bfloat16"),
        ("float32", "auto", "float32"),
        ("auto", "int4", "int4"),
        ("bfloat16", "int4", "int4"),
    ],
)
def test_numerics_follow_from_what_is_asked(dtype: str, weights: str, expected: str) -> None:
    assert numerics_of(dtype, weights) == expected


@pytest.mark.parametrize("weights", ["int2", "int8"])
def test_other_weights_are_refused(weights: str) -> None:
    with pytest.raises(RequestError, match=rf"weights is '{weights}'[\s\S]*use one of: auto, bf16, int4"):
        numerics_of("auto", weights)


def test_choices_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(RequestError, match=r"weights is 'int4' and dtype is 'float32'[\s\S]*leave out one of the two"):
        numerics_of("float32", "int4")


def test_devices_without_the_kernels_are_refused() -> None:
    with pytest.raises(RequestError, match=r"int4 weights were asked for on meta[\s\S]*CPU only"):
        quantize(layer().to("meta"))
