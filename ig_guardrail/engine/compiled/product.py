"""Products of few rows with packed weights.

A step of few tokens reads all weights and does little arithmetic with each. torch's matrix kernels take some 26 µs a
call before they compute anything, and do not fetch ahead of what they read. The functions here read the same memory:
blocks of 64 outputs, in each all pairs of inputs, in each the weights of both for the 64 outputs (`blocked`).
They add in the order of Intel's matrix tiles (AMX, instruction TDPBF16PS): of each 32 inputs the even and the odd ones
apart, then both sums together, then that to the total; in float32, rounded to bfloat16 at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ig_guardrail.engine.compiled.code import (
    FLOAT,
    FLOATS,
    HALF,
    LANES,
    LONG,
    POINTER,
    WORD,
    WORDS,
    Code,
    Function,
    all_of,
)

FEW = 4  # rows in one product at most; the matrix kernels take more of them as fast
BLOCK, TILE = 64, 32  # outputs of a block of memory; inputs whose products are added before they join the total
_VECTORS, _PAIRS = BLOCK // LANES, TILE // 2
_SUMS = 24  # vectors of sums that stay in registers, of 32
_AHEAD = 4096  # bytes between what is read and what is fetched; of 0 to 16384, the fastest


def fits(weight: Tensor) -> bool:
    """Whether weights (outputs, inputs) fill whole blocks and tiles."""
    return weight.shape[0] % BLOCK == 0 and weight.shape[1] % TILE == 0


def blocked(weight: Tensor) -> Tensor:
    """Weights (outputs, inputs) in the order of memory that is read here, flat."""
    outputs, inputs = weight.shape
    return weight.view(outputs // BLOCK, BLOCK, inputs // 2, 2).transpose(1, 2).reshape(-1)


def product(inputs: Tensor, address: int, outputs: int, bias: Tensor | None = None) -> Tensor:
    """The product, bfloat16 (..., outputs), of 1 to FEW rows (..., inputs) of bfloat16, or of such numbers in float32.

    address: where the weights lie, as `blocked` says; bias: bfloat16 (outputs), contiguous
    """
    size = inputs.shape[-1]
    wide = inputs.float().contiguous()
    out = torch.empty((*inputs.shape[:-1], outputs), dtype=torch.bfloat16)
    run = _compiled(inputs.numel() // size, bias is not None)
    added = 0 if bias is None else bias.data_ptr()
    run(wide.data_ptr(), address, added, out.data_ptr(), outputs // BLOCK, size // TILE)
    return out


@cache
def _compiled(rows: int, biased: bool) -> Function:
    """The function for some number of rows: 20 to 60 ms, once in a process."""
    return _Product(rows, biased).compiled()


class _Product(Code):
    """function(inputs in float32, weights, bias, outputs, number of blocks, number of tiles)"""

    def __init__(self, rows: int, biased: bool) -> None:
        super().__init__([POINTER] * 4 + [LONG] * 2)
        self._multiply_add = self.declared("llvm.fma.v16f32", FLOATS, [FLOATS] * 3)
        self._abreast = next(count for count in (4, 2, 1) if 2 * rows * count <= _SUMS)  # vectors read at a time
        inputs, weights, bias, out, blocks, tiles = self.arguments
        totals = [[self.variable() for _ in range(_VECTORS)] for _ in range(rows)]
        row, column = self.times(tiles, TILE), self.times(blocks, BLOCK)  # numbers of a row of inputs, of outputs
        with self.each(blocks) as block:
            self.clear(totals)
            here = self.moved(weights, self.at.mul(block, self.times(tiles, _PAIRS * BLOCK)), WORD)
            with self.each(tiles) as tile:
                values = self.moved(inputs, self.times(tile, TILE), FLOAT)
                pairs = self.moved(here, self.times(tile, _PAIRS * BLOCK), WORD)
                for first in range(0, _VECTORS, self._abreast):
                    some = [line[first : first + self._abreast] for line in totals]
                    self._add_tile(some, values, row, self.moved(pairs, first * LANES, WORD))
            start = self.times(block, BLOCK)
            for number, line in enumerate(totals):
                there = self.moved(out, self.at.add(self.times(column, number), start), HALF)
                self._write(line, self.moved(bias, start, HALF) if biased else None, there)

    def _add_tile(self, totals: Sequence[Sequence[Any]], values: Any, row: Any, pairs: Any) -> None:
        """Add the products of 32 inputs to some vectors of each row's totals."""
        halves = [[[self.variable() for _ in line] for line in totals] for _ in range(2)]
        for sums in halves:
            self.clear(sums)
        with self.each(LONG(_PAIRS)) as pair:
            here = self.moved(pairs, self.times(pair, BLOCK), WORD)
            weights = [self._both(self.moved(here, vector * LANES, WORD)) for vector in range(self._abreast)]
            for number in range(len(totals)):
                both = self.moved(values, self.at.add(self.times(row, number), self.times(pair, 2)), FLOAT)
                for half, sums in enumerate(halves):
                    value = self.spread(self.value(self.moved(both, half, FLOAT), FLOAT))
                    for vector, place in enumerate(sums[number]):
                        added = self.at.call(self._multiply_add, [value, weights[vector][half], self.value(place)])
                        self.at.store(added, place)
        for even, odd, line in zip(*halves, totals, strict=True):
            for one, other, total in zip(even, odd, line, strict=True):
                both = self.at.fadd(self.value(one), self.value(other))
                self.at.store(self.at.fadd(self.value(total), both), total)

    def _both(self, place: Any) -> tuple[Any, Any]:
        """A vector of pairs of bfloat16 as floats: the first ones, the second ones."""
        self.fetch(place, _AHEAD)
        pairs = self.value(place, WORDS)
        first, second = self.at.shl(pairs, all_of(16)), self.at.and_(pairs, all_of(-0x10000))
        return self.at.bitcast(first, FLOATS), self.at.bitcast(second, FLOATS)

    def _write(self, totals: Sequence[Any], bias: Any | None, out: Any) -> None:
        for vector, place in enumerate(totals):
            total = self.value(place)
            if bias is not None:
                total = self.at.fadd(total, self.numbers(bias, vector * LANES))
            self.at.store(self.narrowed(self.rounded(total)), self.moved(out, vector * LANES, HALF), align=2)
