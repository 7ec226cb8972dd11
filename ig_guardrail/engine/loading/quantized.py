"""Weight-only quantisation on the CPU: linear layers keep 4 bits a weight, activations stay in bfloat16.

4 bits  groups of 32 weights along the input, each with a scale and a zero: w = (q - 8) * scale + zero, q in 0..15.
        Weights that were quantised like this before (GGUF Q4_1) are found again exactly, since each group holds a 0
        and a 15; only scale and zero are rounded, to bfloat16.
8 bits  for the output layer, and where groups do not fit: one scale for each output, w = q * scale, q in -127..127.

A step of few rows is bound by reading weights, and runs on the kernels that read them packed. One of many rows is bound
by arithmetic, and runs on a bfloat16 copy of the same quantised values. The kernels are private to torch: where they
are missing, or give something else, the copy serves all rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ig_guardrail.engine.loading.packing import Packer
from ig_guardrail.engine.loading.trials import Trials
from ig_guardrail.errors import RequestError

GROUP = 32
FEW = 8  # rows up to which reading the weights is what a step costs
_CLOSE = 0.02
_ROWS = 256  # of a matrix that are quantised at once


class QuantizedLinear(nn.Module):
    """A linear layer over quantised weights: a kernel for few rows, a dense copy for many. For inference."""

    def __init__(self, kernel: nn.Module | None, dense: nn.Module) -> None:
        super().__init__()
        self._kernel = kernel
        self._dense = dense

    @property
    def weight(self) -> Tensor:
        """What the weights stand for, (outputs, inputs), in bfloat16: some models compute with them themselves."""
        weights: Tensor = self._dense.weight  # type: ignore[assignment]
        return weights

    @property
    def bias(self) -> Tensor | None:
        """What is added, (outputs,)."""
        added: Tensor | None = self._dense.bias  # type: ignore[assignment]
        return added

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.numel() // inputs.shape[-1]
        if self._kernel is None or rows > FEW:
            out: Tensor = self._dense(inputs)
            return out
        flat: Tensor = self._kernel(inputs.reshape(rows, -1).contiguous())
        return flat.view(*inputs.shape[:-1], -1)


class Int4Kernel(nn.Module):
    """Rows (n, inputs) times 4-bit weights."""

    def __init__(self, codes: Tensor, scales: Tensor, zeros: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._codes: Any = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 2)
        self._scales = torch.stack([scales, zeros], dim=-1).transpose(0, 1).contiguous()
        self._bias = bias

    def forward(self, rows: Tensor) -> Tensor:
        out: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, self._codes, GROUP, self._scales)
        return out if self._bias is None else out + self._bias


class Int8Kernel(nn.Module):
    """Rows (n, inputs) times 8-bit weights."""

    def __init__(self, codes: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self._codes, self._scales, self._bias = codes, scales, bias

    def forward(self, rows: Tensor) -> Tensor:
        out: Tensor = torch.ops.aten._weight_int8pack_mm(rows, self._codes, self._scales)
        return out if self._bias is None else out + self._bias


@torch.inference_mode()
def quantize(model: nn.Module, trials: Trials | None = None) -> None:
    """Quantise a model's linear layers in place; what is left becomes bfloat16.

    trials  what was found before on this machine

    Load it in the dtype that holds its weights best: codes are found before anything is rounded to bfloat16.
    Raises RequestError off the CPU.
    """
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise RequestError(
            f"int4 weights were asked for on {device}",
            where="weights",
            why="they run on the CPU only",
            fix="use weights='bf16' there",
        )
    output = _output_layer(model)
    quantizer = Quantizer(trials)
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:
                eight = layer is output or layer.in_features % GROUP
                setattr(parent, name, quantizer.eight_bits(layer) if eight else quantizer.four_bits(layer))
    for left in model.parameters():  # buffers stay: rotary frequencies need their precision
        left.data = left.data.to(torch.bfloat16)


class Quantizer:
    """Makes quantised layers, and compares the first one of each shape with its dense copy."""

    def __init__(self, trials: Trials | None = None) -> None:
        self._packer = Packer(compiles=False, trials=trials)  # few rows are read by kernels
        self._sound: dict[tuple[type[nn.Module], int, int], bool] = {}

    def four_bits(self, layer: nn.Linear) -> QuantizedLinear:
        codes, scales, zeros = four_bits(layer.weight)
        scales, zeros, bias = scales.bfloat16(), zeros.bfloat16(), _rounded(layer.bias)
        grouped = (codes - 8).view(len(codes), -1, GROUP)
        dense = self._dense(grouped.mul_(scales.float()[..., None]).add_(zeros.float()[..., None]).flatten(1), bias)
        return self._layer(Int4Kernel, (codes.to(torch.int32), scales, zeros, bias), dense, layer)

    def eight_bits(self, layer: nn.Linear) -> QuantizedLinear:
        parts = [
            eight_bits(rows) for rows in torch.split(layer.weight, _ROWS)
        ]  # a few rows stay in the processor's cache
        codes, scales, values = map(torch.cat, zip(*parts, strict=True))
        bias = _rounded(layer.bias)
        return self._layer(Int8Kernel, (codes, scales, bias), self._dense(values, bias), layer)

    def _dense(self, values: Tensor, bias: Tensor | None) -> nn.Module:
        dense = nn.Linear(values.shape[1], values.shape[0], bias=bias is not None, device="meta")
        dense.weight = nn.Parameter(values.bfloat16(), requires_grad=False)
        if bias is not None:
            dense.bias = nn.Parameter(bias, requires_grad=False)
        return self._packer.packed_or_same(dense)

    def _layer(
        self, kind: type[nn.Module], parts: tuple[Tensor | None, ...], dense: nn.Module, layer: nn.Linear
    ) -> QuantizedLinear:
        """With the kernel, if it can be made and agrees with the dense copy."""
        shape = (kind, layer.in_features, layer.out_features)
        try:
            kernel = kind(*parts)
            if shape not in self._sound:
                self._sound[shape] = _agree(kernel, dense, layer.in_features)
        except (AttributeError, NotImplementedError, RuntimeError):
            self._sound[shape] = False
        return QuantizedLinear(kernel if self._sound[shape] else None, dense)


def four_bits(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (outputs, inputs) in 0..15, scales and zeros (outputs, groups), all in float32, of a weight matrix."""
    grouped = weight.float().view(len(weight), -1, GROUP)
    low, high = grouped.amin(-1), grouped.amax(-1)
    scales = ((high - low) / 15).clamp(min=1e-10)
    codes = ((grouped - low[..., None]) / scales[..., None]).round().clamp(0, 15)
    return codes.flatten(1), scales, low + 8 * scales


def eight_bits(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes (outputs, inputs) in int8, scales (outputs,) and what codes stand for, both in bfloat16, of a matrix."""
    weight = weight.float()
    scales = (weight.abs().amax(1) / 127).clamp(min=1e-10).bfloat16()
    codes = (weight / scales.float()[:, None]).round_().clamp_(-127, 127)
    return codes.to(torch.int8), scales, (codes * scales.float()[:, None]).bfloat16()


def _output_layer(model: Any) -> nn.Module | None:
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def _rounded(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach().bfloat16()


def _agree(kernel: nn.Module, dense: nn.Module, inputs: int) -> bool:
    rows = torch.linspace(-1, 1, 3 * inputs).view(3, inputs).bfloat16()
    found, expected = kernel(rows).float(), dense(rows).float()
    return bool((found - expected).norm() <= _CLOSE * expected.norm() + 1e-6)
