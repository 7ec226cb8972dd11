"""Linear layers with their weights laid out once as the CPU's matrix kernels want them.

`torch.nn.Linear` in bfloat16 lays its weights out anew in every call, which costs as much as the product. Packed,
the same kernels run on the same values, in about half the time for a few rows. The calls are private to torch: where
they are missing, or give something else, layers stay as they are.

A stream must not depend on who else is served, so a row must get the same bits in every product. The order in which
kernels add a row's products depends on the number of rows: some processors add those of a lone row in another order
(AVX-512), others those of many rows (AMX, with many inputs). So it is tried, when a layer is packed, within which
widths of products bits are the same; more rows are read in parts, and fewer beside copies.

On one thread, a few rows are read by functions that are compiled on the spot, where they give the same bits
(`engine.compiled`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ig_guardrail.engine.compiled import product as few_rows
from ig_guardrail.engine.loading.trials import Trials

_ROWS = 1  # for how many rows the layout is chosen: with it, AMX gives the same bits to the most widths
_TRIED = (1, 5, 40)  # rows with which the packed layer is compared
_REFERENCE = 16  # the width that others are compared with
_COMPARED = 768  # rows with which a product of several layers is compared with theirs
_NARROWER = (8, 2, 1)
_WIDER = {32: (32,), 64: (33, 64), 128: (96, 128), 512: (160, 512)}  # by most rows: the widths that show them
_MOST_WORK = 2_300_000_000  # multiplications of one width's trial: they bound what wide layers are tried with
_FEW, _MANY = (
    200_000,
    500_000,
)  # outputs compared of narrower and of wider ones; one in 7,000, in 50,000 showed the order
_MOST_ROWS = 1_000  # of the narrower ones


@dataclass(frozen=True, slots=True)
class Widths:
    """How many rows a product may have, from `least` to `most`, so that a row gets the same bits in each of them."""

    least: int
    most: int


_ANY = Widths(1, _MOST_ROWS)  # of a layer whose widths are being tried


class PackedLinear(nn.Module):
    """A linear layer whose weights are laid out for the matrix kernels. For inference."""

    def __init__(self, linear: nn.Linear, widths: Widths) -> None:
        super().__init__()
        self._packed: Any = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._outputs = linear.out_features
        self.widths = widths
        self.few = 0  # rows up to which they are read by a compiled product

    @cached_property
    def weight(self) -> Tensor:
        """The weights, (outputs, inputs), laid out as usual and kept: some models compute with them in each pass."""
        weights: Tensor = self._packed.to_dense()
        return weights

    @property
    def bias(self) -> Tensor | None:
        """What is added, (outputs,)."""
        return self._bias

    def forward(self, inputs: Tensor) -> Tensor:
        """The product of bfloat16 rows, or of such numbers in float32."""
        rows = inputs.numel() // inputs.shape[-1]
        if 0 < rows <= self.few and torch.get_num_threads() == 1:
            return self.few_rows(inputs)
        inputs = inputs.to(torch.bfloat16)
        if self.widths.least <= rows <= self.widths.most or not rows:
            return self._product(inputs)
        parts = torch.split(inputs.reshape(rows, 1, -1), self.widths.most)
        return torch.cat([self._beside_copies(part) for part in parts]).view(*inputs.shape[:-1], -1)

    def _beside_copies(self, inputs: Tensor) -> Tensor:
        """The product of some rows, and of as many copies of the last as make it wide enough."""
        rows = len(inputs)
        missing = self.widths.least - rows
        return self._product(torch.cat((inputs, inputs[-1:].expand(missing, -1, -1))) if missing > 0 else inputs)[:rows]

    def few_rows(self, inputs: Tensor) -> Tensor:
        """The product of up to `few_rows.FEW` rows, bfloat16 or such numbers in float32, by a compiled function."""
        address: int = torch.ops.mkldnn.data_ptr(self._packed)
        return few_rows.product(inputs, address, self._outputs, self._bias)

    def layout(self) -> Tensor:
        """The weights in the order of the packed memory, flat."""
        size: int = torch.ops.mkldnn._nbytes(self._packed)
        memory = (ctypes.c_uint8 * size).from_address(torch.ops.mkldnn.data_ptr(self._packed))
        return torch.frombuffer(memory, dtype=torch.bfloat16)

    def _product(self, inputs: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._packed, self._bias, "none", [], "")
        return out


class Share(nn.Module):
    """`outputs` outputs from `start` on of a layer that gives those of several layers in one product."""

    def __init__(self, whole: PackedLinear, start: int, outputs: int) -> None:
        super().__init__()
        self.whole = whole
        self.start = start
        self.outputs = outputs

    @property
    def weight(self) -> Tensor:
        """Its own weights, (outputs, inputs)."""
        return self.whole.weight.narrow(0, self.start, self.outputs)

    @property
    def bias(self) -> Tensor | None:
        """What is added, (outputs,)."""
        return None if self.whole.bias is None else self.whole.bias.narrow(0, self.start, self.outputs)

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
    """Packs layers, and compares the first one of each shape with what it packs.

    compiles  whether few rows are to be read by compiled products where they can
    trials    what was found before, of other layers of these shapes
    """

    def __init__(self, compiles: bool = True, trials: Trials | None = None) -> None:
        self._compiles = compiles
        self._trials = trials or Trials()

    @torch.inference_mode()
    def joined_or_none(self, linears: Sequence[nn.Module]) -> PackedLinear | None:
        """One packed layer with the outputs of several layers behind one another, if that gives their bits."""
        plain = [linear for linear in linears if type(linear) is nn.Linear]
        if len(plain) < len(linears) or len({linear.bias is None for linear in plain}) > 1:
            return None
        whole = self.packed_or_same(_joined(plain))
        if not isinstance(whole, PackedLinear):
            return None
        shape = (plain[0].in_features, *(linear.out_features for linear in plain))

        def alike() -> bool:
            return _alike(whole, [PackedLinear(linear, _ANY) for linear in plain], shape[0])

        return whole if self._trials.find(f"joined {shape}", alike) else None

    @torch.inference_mode()
    def packed_or_same(self, linear: nn.Linear) -> nn.Module:
        """The layer packed, if this build of torch can and gives what the layer gives; else the layer."""
        if linear.weight.dtype is not torch.bfloat16 or linear.weight.device.type != "cpu":
            return linear
        shape = (linear.in_features, linear.out_features, linear.bias is not None)
        try:
            packed = PackedLinear(linear, _ANY)
            match self._trials.find(f"widths {shape}", lambda: _widths(packed, linear)):
                case [int(least), int(most)]:
                    packed.widths = Widths(least, most)
                case _:
                    return linear
        except (AttributeError, NotImplementedError, RuntimeError):
            return linear
        few = self._trials.find(f"few {shape}", lambda: _few(packed, linear)) if self._compiles else 0
        packed.few = few if isinstance(few, int) else 0
        return packed


def _widths(packed: PackedLinear, linear: nn.Linear) -> list[int] | None:
    """The least and the most rows of a product in which a row gets the same bits; None if they are not the layer's."""
    if not all(_agree(linear, packed, rows) for rows in _TRIED):
        return None
    found = _same_bits(packed, linear)
    return [found.least, found.most]


def _few(packed: PackedLinear, linear: nn.Linear) -> int:
    """How many rows a compiled product may have: 0 where it cannot read the packed weights, or gives other bits."""
    if not few_rows.fits(linear.weight):
        return 0
    if not torch.equal(packed.layout(), few_rows.blocked(linear.weight.detach())):
        return 0
    rows = _drawn(max(_REFERENCE, _MANY // linear.out_features), linear.in_features)
    usual = _in_parts(packed, rows, _REFERENCE)
    for count in (1, few_rows.FEW):
        if not torch.equal(torch.cat([packed.few_rows(part) for part in torch.split(rows, count)]), usual):
            return 0
    return few_rows.FEW


def _joined(linears: Sequence[nn.Linear]) -> nn.Linear:
    outputs = sum(linear.out_features for linear in linears)
    biases = [linear.bias for linear in linears if linear.bias is not None]
    whole = nn.Linear(linears[0].in_features, outputs, bias=bool(biases), device="meta")
    whole.weight = nn.Parameter(torch.cat([linear.weight.detach() for linear in linears]), requires_grad=False)
    if biases:
        whole.bias = nn.Parameter(torch.cat([bias.detach() for bias in biases]), requires_grad=False)
    return whole


def _alike(whole: PackedLinear, parts: Sequence[PackedLinear], inputs: int) -> bool:
    """Whether the whole gives the bits of the parts in products of `_REFERENCE` rows: within widths, all give those."""
    rows = _drawn(_COMPARED, inputs)
    apart = torch.cat([_in_parts(part, rows, _REFERENCE) for part in parts], dim=-1)
    return torch.equal(_in_parts(whole, rows, _REFERENCE), apart)


def _drawn(count: int, inputs: int) -> Tensor:
    return torch.randn(count, 1, inputs, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)


def _agree(linear: nn.Linear, packed: PackedLinear, rows: int) -> bool:
    line = torch.linspace(-1, 1, rows * linear.in_features, dtype=torch.float32)
    inputs = line.view(rows, 1, -1).to(linear.weight.dtype)
    return torch.allclose(
        packed(inputs).float(), functional.linear(inputs, linear.weight, linear.bias).float(), rtol=0.02, atol=0.02
    )


def _same_bits(packed: PackedLinear, linear: nn.Linear) -> Widths:
    """The widths within which a row gets the same bits, by the rounding of many outputs."""
    work = linear.in_features * linear.out_features
    largest = max((most for most in _WIDER if most * work <= _MOST_WORK), default=min(_WIDER))
    fits = (most for most in _WIDER if most <= largest)
    as_many = _comparison(packed, linear, max(largest, _MANY // linear.out_features))
    wider = list(takewhile(lambda most: all(map(as_many, _WIDER[most])), fits))
    few = _FEW // linear.out_features
    if few > _MOST_ROWS:  # a lone row would be compared too often
        return Widths(2, max(wider, default=_REFERENCE))
    narrower = list(takewhile(_comparison(packed, linear, max(_REFERENCE, few)), _NARROWER))
    return Widths(min(narrower, default=_REFERENCE), max(wider, default=_REFERENCE))


def _comparison(packed: PackedLinear, linear: nn.Linear, count: int) -> Callable[[int], bool]:
    """Whether `count` drawn rows get the bits of products of a width that they get in those of `_REFERENCE` rows."""
    rows = _drawn(count, linear.in_features)
    usual = _in_parts(packed, rows, _REFERENCE)
    return lambda width: torch.equal(_in_parts(packed, rows, width), usual)


def _in_parts(packed: PackedLinear, rows: Tensor, width: int) -> Tensor:
    """Products of exactly `width` rows each; the last begins with rows of the one before. rows: at least `width`"""
    whole = len(rows) // width * width
    parts = [packed(part) for part in torch.split(rows[:whole], width)]
    rest = [packed(rows[-width:])[whole - len(rows) :]] if whole < len(rows) else []
    return torch.cat(parts + rest)
