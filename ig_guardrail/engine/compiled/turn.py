"""Rotary positions: queries and keys turned, with the bits of torch's products and sums."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from ig_guardrail.engine.compiled.code import HALF, LANES, LONG, POINTER, Code, Function

MULTIPLE = 2 * LANES  # of which the size of a head is


def turn(heads: Tensor, cosines: Tensor, sines: Tensor, count: int) -> Tensor:
    """The first `count` heads of each token, turned, bfloat16 (1, tokens, count, size).

    heads: bfloat16 (1, tokens, all heads, size); cosines and sines (1, tokens, 1, size), the sines of the first half of
    a head negative
    """
    _, tokens, every, size = heads.shape
    out = torch.empty((1, tokens, count, size), dtype=torch.bfloat16)
    parts = [part.contiguous() for part in (heads, cosines, sines, out)]
    _compiled(size)(*[part.data_ptr() for part in parts], tokens, every, count)
    return out


@cache
def _compiled(size: int) -> Function:
    return _Turn(size).compiled()


class _Turn(Code):
    """function(heads, cosines, sines, outputs, tokens, heads of a token, heads to turn)"""

    def __init__(self, size: int) -> None:
        super().__init__([POINTER] * 4 + [LONG] * 3)
        heads, cosines, sines, out, tokens, every, count = self.arguments
        with self.each(tokens) as token:
            angle = self.times(token, size)
            with self.each(count) as head:
                here = self.times(self.at.add(self.at.mul(token, every), head), size)
                there = self.times(self.at.add(self.at.mul(token, count), head), size)
                for place in range(0, size, LANES):
                    other = (place + size // 2) % size
                    straight = self._product(heads, self.plus(here, place), cosines, self.plus(angle, place))
                    across = self._product(heads, self.plus(here, other), sines, self.plus(angle, place))
                    both = self.narrowed(self.rounded(self.at.fadd(straight, across)))
                    self.at.store(both, self.moved(out, self.plus(there, place), HALF), align=2)

    def _product(self, one: Any, place: Any, other: Any, angle: Any) -> Any:
        return self.rounded(self.at.fmul(self.numbers(one, place), self.numbers(other, angle)))
