"""Gated units: SiLU of one half times the other half, with torch's bits.

SiLU of a bfloat16 has 65,536 results; torch itself makes the table that they are looked up in.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as functional
from llvmlite import ir
from torch import Tensor

from ig_guardrail.engine.compiled.code import (
    FLOAT,
    HALF,
    HALVES,
    LANES,
    LONG,
    POINTER,
    WORD,
    WORDS,
    Code,
    Function,
)

MULTIPLE = LANES  # of which the size of a half is


def gated(halves: Tensor) -> Tensor:
    """SiLU of the first half of the last axis times the second: of contiguous bfloat16, rounded to it, in float32."""
    size = halves.shape[-1] // 2
    out = torch.empty((*halves.shape[:-1], size), dtype=torch.float32)
    rows = out.numel() // size
    _compiled()(halves.data_ptr(), _table().data_ptr(), out.data_ptr(), rows, size // LANES)
    return out


@cache
def _table() -> Tensor:
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    return functional.silu(every)


@cache
def _compiled() -> Function:
    return _Gate().compiled()


class _Gate(Code):
    """function(halves, table, outputs in float32, number of rows, vectors of an output row)"""

    def __init__(self) -> None:
        super().__init__([POINTER, POINTER, POINTER, LONG, LONG])
        halves, table, out, rows, vectors = self.arguments
        size = self.times(vectors, LANES)
        with self.each(rows) as row:
            first = self.moved(halves, self.at.mul(row, self.times(size, 2)), HALF)
            second = self.moved(first, size, HALF)
            there = self.moved(out, self.at.mul(row, size), FLOAT)
            with self.each(vectors) as vector:
                place = self.times(vector, LANES)
                gates = self._looked_up(table, self.value(self.moved(first, place, HALF), HALVES))
                others = self.numbers(second, place)
                both = self.rounded(self.at.fmul(self.widened(gates), others))
                self.at.store(both, self.moved(there, place, FLOAT), align=4)

    def _looked_up(self, table: Any, halves: Any) -> Any:
        places, found = self.at.zext(halves, WORDS), ir.Constant(HALVES, ir.Undefined)
        for lane in range(LANES):
            place = self.at.zext(self.at.extract_element(places, WORD(lane)), LONG)
            found = self.at.insert_element(found, self.value(self.moved(table, place, HALF), HALF), WORD(lane))
        return found
