"""Root mean square norms, with the bits of `LlamaRMSNorm`.

The one thing that has an order is the sum of squares. torch adds vectors of 8 floats in four rows side by side, every
16 vectors of a row apart, then the rows, then the 8 places of the last vector from first to last (`cascade_sum` in its
SumKernel.cpp).
"""

from __future__ import annotations

from functools import cache, reduce
from typing import Any

import torch
from llvmlite import ir
from torch import Tensor

from ig_guardrail.engine.compiled.code import (
    FLOAT,
    HALF,
    LANES,
    LONG,
    POINTER,
    WORD,
    Code,
    Function,
)

_ROWS = 4  # sums side by side
_PLACES = 8  # floats of a vector that is added
_STEP = 16  # vectors that are added before their sum joins the sum of the next level
_LEVELS = 4
_TRIED = 64  # rows whose sums are compared with torch's; in another order half of them differ in their last bit
MULTIPLE = _ROWS * _PLACES  # of which a size is


def norm(states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """The norm over the last axis of contiguous bfloat16 states: rounded to bfloat16, in float32."""
    size = states.shape[-1]
    out = torch.empty(states.shape, dtype=torch.float32)
    run = _compiled(size)
    run(states.data_ptr(), weight.data_ptr(), out.data_ptr(), states.numel() // size, epsilon)
    return out


@cache
def adds_alike(size: int) -> bool:
    """Whether squares of so many numbers are added in the order of this build of torch."""
    if size % MULTIPLE:
        return False
    numbers = torch.randn(1, _TRIED, size, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    sums = torch.empty((1, _TRIED, 1), dtype=torch.float32)
    _Sum(size).compiled()(numbers.data_ptr(), sums.data_ptr(), _TRIED)
    return torch.equal(sums / size, numbers.float().pow(2).mean(-1, keepdim=True))


@cache
def _compiled(size: int) -> Function:
    return _Norm(size).compiled()


class _Squares(Code):
    """What adds squares."""

    def sum_of_squares(self, states: Any, size: int) -> Any:
        vectors = size // _PLACES
        rows = [self._row_sum(states, range(row, vectors, _ROWS)) for row in range(_ROWS)]
        last = reduce(self.at.fadd, rows)
        return reduce(self.at.fadd, [self.at.extract_element(last, WORD(place)) for place in range(_PLACES)])

    def _row_sum(self, states: Any, vectors: range) -> Any:
        """The sum of the squares of some vectors, level by level."""
        levels: list[Any] = [None] * _LEVELS
        for count, vector in enumerate(vectors, start=1):
            value = self.numbers(states, vector * _PLACES, _PLACES)
            levels[0] = self._sum(levels[0], self.at.fmul(value, value))
            for level in range(1, _LEVELS):
                if count % _STEP**level:
                    break
                levels[level], levels[level - 1] = self._sum(levels[level], levels[level - 1]), None
        return reduce(self._sum, levels)

    def _sum(self, one: Any, other: Any) -> Any:
        """None is zero."""
        return one if other is None else other if one is None else self.at.fadd(one, other)


class _Sum(_Squares):
    """function(numbers, sums of their squares, number of rows)"""

    def __init__(self, size: int) -> None:
        super().__init__([POINTER, POINTER, LONG])
        numbers, sums, rows = self.arguments
        with self.each(rows) as row:
            total = self.sum_of_squares(self.moved(numbers, self.times(row, size), HALF), size)
            self.at.store(total, self.moved(sums, row, FLOAT), align=4)


class _Norm(_Squares):
    """function(states, weight, outputs in float32, number of rows, epsilon)"""

    def __init__(self, size: int) -> None:
        super().__init__([POINTER, POINTER, POINTER, LONG, FLOAT])
        root = self.declared("llvm.sqrt.f32", FLOAT, [FLOAT])
        states, weight, out, rows, epsilon = self.arguments
        with self.each(rows) as row:
            start = self.times(row, size)
            here, there = self.moved(states, start, HALF), self.moved(out, start, FLOAT)
            mean = self.at.fdiv(self.sum_of_squares(here, size), ir.Constant(FLOAT, size))
            scale = self.at.fdiv(ir.Constant(FLOAT, 1.0), self.at.call(root, [self.at.fadd(mean, epsilon)]))
            scales = self.spread(scale)
            with self.each(LONG(size // LANES)) as vector:
                place = self.times(vector, LANES)
                normal = self.rounded(self.at.fmul(self.numbers(here, place), scales))
                weighted = self.rounded(self.at.fmul(normal, self.numbers(weight, place)))
                self.at.store(weighted, self.moved(there, place, FLOAT), align=4)
