"""Linear layers with their weights laid out once as the CPU's matrix kernels want them.

`torch.nn.Linear` in bfloat16 lays its weights out anew in every call, which costs as much as the product. Packed,
the same kernels run on the same values and give the same bits, in about half the time for a few rows. The calls are
private to torch: where they are missing, or give something else, layers stay as they are.

A stream must not depend on who else is served. The kernels give a row the same bits beside one other row or thirty. A
lone one may get others, since its products are added in another order; it is then read twice. So may a row among more
than 32 where the processor has matrix tiles (AMX); those are then read 32 at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

_ROWS = 8  # for how many rows the layout is chosen; the numbers do not depend on it
_TRIED = (1, 5, 40)  # rows with which the packed layer is compared
_COMPARED = 200_000  # outputs of lone rows that are compared with those of rows together; one in 7,000 showed the order
_MOST_ROWS = 1_000  # for that
_TOGETHER = 32  # rows that all kernels seen give the same bits
_MANY = 512  # rows with which that is tried, at least


class PackedLinear(nn.Module):
    """A linear layer whose weights only the matrix kernels can read. For inference.

    twice   whether a lone row is read twice, so that it gets the bits that it has beside others
    pieces  whether many rows are read in pieces of `_TOGETHER`, for the same reason
    """

    def __init__(self, linear: nn.Linear, twice: bool = False, pieces: bool = False) -> None:
        super().__init__()
        self._packed: Any = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach()
        self.twice = twice
        self.pieces = pieces

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.numel() // inputs.shape[-1]
        if rows == 1 and self.twice:
            return self._product(torch.cat((inputs, inputs)))[:1]
        if rows > _TOGETHER and self.pieces:
            parts = inputs.reshape(rows, -1).split(_TOGETHER)
            return torch.cat([self(part) for part in parts]).view(*inputs.shape[:-1], -1)
        return self._product(inputs)

    def _product(self, inputs: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise.default(inputs, self._packed, self._bias, "none", [], "")
        return out


class Share(nn.Module):
    """`outputs` outputs from `start` on of a layer that gives those of several layers in one product."""

    def __init__(self, whole: PackedLinear, start: int, outputs: int) -> None:
        super().__init__()
        self.whole = whole
        self.start = start
        self.outputs = outputs

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.whole(inputs).narrow(-1, self.start, self.outputs)
        return out


def pack(model: nn.Module, packer: Packer | None = None) -> int:
    """Pack the bfloat16 linear layers of a model on the CPU, in place; how many. Other layers are left alone."""
    count, packer = 0, packer or Packer()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            packed = packer.packed_or_same(layer) if type(layer) is nn.Linear else layer
            if packed is not layer:
                setattr(parent, name, packed)
                count += 1
    return count


class Packer:
    """Packs layers, and compares the first one of each shape with what it packs."""

    def __init__(self) -> None:
        self._sound: dict[tuple[int, int, bool], bool] = {}
        self._twice: dict[tuple[int, int, bool], bool] = {}
        self._pieces: dict[tuple[int, int, bool], bool] = {}
        self._joined: dict[tuple[int, ...], bool] = {}

    @torch.inference_mode()
    def joined_or_none(self, linears: Sequence[nn.Module]) -> PackedLinear | None:
        """One packed layer with the outputs of several layers behind one another, if that gives their bits."""
        plain = [linear for linear in linears if type(linear) is nn.Linear]
        if len(plain) < len(linears) or len({linear.bias is None for linear in plain}) > 1:
            return None
        shape = (plain[0].in_features, *(linear.out_features for linear in plain))
        if not self._joined.get(shape, True):
            return None
        whole = self.packed_or_same(_joined(plain))
        if not isinstance(whole, PackedLinear):
            return None
        if shape not in self._joined:
            parts = [self.packed_or_same(linear) for linear in plain]
            self._joined[shape] = all(_alike(whole, parts, shape[0], rows) for rows in _TRIED)
        return whole if self._joined[shape] else None

    @torch.inference_mode()
    def packed_or_same(self, linear: nn.Linear) -> nn.Module:
        """The layer packed, if this build of torch can and gives what the layer gives; else the layer."""
        if linear.weight.dtype is not torch.bfloat16 or linear.weight.device.type != "cpu":
            return linear
        shape = (linear.in_features, linear.out_features, linear.bias is not None)
        try:
            if not self._sound.get(shape, True):
                return linear
            packed = PackedLinear(linear, self._twice.get(shape, False), self._pieces.get(shape, False))
            if shape not in self._sound:
                sound = all(_agree(linear, packed, rows) for rows in _TRIED)
                packed.twice = self._twice[shape] = not _same_alone(packed, linear)
                packed.pieces = self._pieces[shape] = not _same_among_many(packed, linear)
                self._sound[shape] = sound
            return packed if self._sound[shape] else linear
        except (AttributeError, NotImplementedError, RuntimeError):
            return linear


def _joined(linears: Sequence[nn.Linear]) -> nn.Linear:
    outputs = sum(linear.out_features for linear in linears)
    biases = [linear.bias for linear in linears if linear.bias is not None]
    whole = nn.Linear(linears[0].in_features, outputs, bias=bool(biases), device="meta")
    whole.weight = nn.Parameter(torch.cat([linear.weight.detach() for linear in linears]), requires_grad=False)
    if biases:
        whole.bias = nn.Parameter(torch.cat([bias.detach() for bias in biases]), requires_grad=False)
    return whole


def _alike(whole: PackedLinear, parts: Sequence[nn.Module], size: int, rows: int) -> bool:
    inputs = _noise(rows, size)
    return torch.equal(whole(inputs), torch.cat([part(inputs) for part in parts], dim=-1))


def _agree(linear: nn.Linear, packed: PackedLinear, rows: int) -> bool:
    line = torch.linspace(-1, 1, rows * linear.in_features, dtype=torch.float32)
    inputs = line.view(rows, 1, -1).to(linear.weight.dtype)
    return torch.allclose(
        packed(inputs).float(), functional.linear(inputs, linear.weight, linear.bias).float(), rtol=0.02, atol=0.02
    )


def _same_alone(packed: PackedLinear, linear: nn.Linear) -> bool:
    """Whether a lone row gets the bits that it has beside others. Not known, so False, of a layer with few outputs."""
    rows = max(8, _COMPARED // linear.out_features)
    if rows > _MOST_ROWS:
        return False
    inputs = _noise(rows, linear.in_features)
    return torch.equal(
        torch.cat([packed(part) for part in inputs.split(_TOGETHER)]),
        torch.cat([packed(row) for row in inputs.split(1)]),
    )


def _same_among_many(packed: PackedLinear, linear: nn.Linear) -> bool:
    """Whether a row has the same bits among many as among few. Not known, so False, of a layer with few outputs."""
    rows = max(_MANY, _COMPARED // linear.out_features)
    if rows > 2 * _MOST_ROWS:
        return False
    inputs = _noise(rows, linear.in_features)
    few = torch.cat([packed(part) for part in inputs.split(_TOGETHER)])
    return all(
        torch.equal(torch.cat([packed(part) for part in inputs.split(size)]), few)
        for size in (_TOGETHER + _TOGETHER // 2, 4 * _TOGETHER, _MANY)
    )


def _noise(rows: int, size: int) -> Tensor:
    return torch.randn(rows, 1, size, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
