"""Attention of single tokens: each to a prefix that all share, and to what its own continuation has added.

torch's kernel rounds the weights of the softmax to bfloat16, and takes a token that is alone as a tile of queries that
is nearly empty. Here keys and values are read once for all query heads that share a key head, and every sum is in
float32: a score's over the places of a head in 16 lanes and then in halves, an output's from the first token to the
last. So a token gets the same bits alone and beside others, and wherever its prefix ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as functional
from llvmlite import ir
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

if TYPE_CHECKING:
    from ig_guardrail.engine.kv.attention import KeysValues

MULTIPLE = LANES  # of which the size of a head is
_TRIED, _CLOSE = 35, 0.01  # tokens, and the part of the whole by which they may differ
_SUMS = 24  # vectors of sums that stay in registers, of 32
_AHEAD, _LINE = 2048, 64  # bytes between what is read and what is fetched; that are fetched at once
_LOWEST = -87.0  # e to this is nearly the smallest float
_LOG2_E = 1.4426950408889634
_LN2 = (0.693359375, -2.12194440e-4)  # in two parts, the first of which is exact in few bits
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)  # Cephes, expf


def attend(query: Tensor, prefix: KeysValues, own: KeysValues | None, scale: float) -> Tensor:
    """Bfloat16 (n, 1, heads, size), of queries (n, heads, 1, size).

    prefix  keys and values (key heads, tokens, size), one token or more
    own     keys and values (n, key heads, tokens, size), if there are any
    All bfloat16; tokens of a key head lie behind one another.
    """
    near, steps = (0, (0, 0)) if own is None else (own[0].shape[2], own[0].stride()[:2])
    return _run(query[:, :, 0], prefix, own or prefix, (prefix[0].shape[1], 0, near), steps, scale)[:, None]


def attend_each(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """The same for the last tokens of a text, each with all that came before it: bfloat16 (1, tokens, heads, size).

    query (1, heads, tokens, size); keys and values (key heads, all tokens, size)
    """
    first = keys.shape[1] - query.shape[2] + 1
    return _run(query[0].transpose(0, 1), (keys, values), (keys, values), (first, 1, 0), (0, 0), scale)[None]


def _run(
    query: Tensor,
    prefix: KeysValues,
    own: KeysValues,
    lengths: tuple[int, int, int],
    steps: tuple[int, ...],
    scale: float,
) -> Tensor:
    """Bfloat16 (n, heads, size), of queries (n, heads, size).

    lengths  tokens of the first query's prefix, how many more each next one has, tokens of their own
    steps    from what is one query's own to the next one's, from a key head of that to the next
    """
    (count, heads, size), key_heads = query.shape, prefix[0].shape[0]
    first, more, near = lengths
    most = first + more * (count - 1) + near
    query, out = query.contiguous(), torch.empty(query.shape, dtype=torch.bfloat16)
    scores = torch.empty((heads // key_heads) * -(-most // LANES) * LANES, dtype=torch.float32)
    places = (one.data_ptr() for one in (query, *prefix, *own, scores, out))
    _compiled(heads // key_heads, size)(*places, count, key_heads, *lengths, prefix[0].stride(0), *steps, scale)
    return out


def fits(query: Tensor, prefix: KeysValues, own: KeysValues | None) -> bool:
    """Whether they lie in memory as `attend` takes them, in bfloat16 on a CPU, and it gives what softmax gives."""
    size = query.shape[-1]
    pairs = (prefix, own or prefix)
    lie_so = (one.stride() == other.stride() and one.stride()[-2:] == (size, 1) for one, other in pairs)
    return all(lie_so) and _is_sound(query.shape[1] // prefix[0].shape[0], size)


@cache
@torch.inference_mode()
def _is_sound(group: int, size: int) -> bool:
    """Whether it can be compiled here, and is as close to softmax in float32 as rounding is."""
    if size % MULTIPLE:
        return False
    noise = torch.randn(4, 2, group, _TRIED, size, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    query, keys, values = 2 * noise[0, :, :, :1], noise[1, 0, :1], noise[2, 0, :1]
    own = noise[1, :, :1, :5].contiguous(), noise[2, :, :1, :5].contiguous()
    try:
        found = attend(query, (keys, values), own, size**-0.5).float()
    except (OSError, RuntimeError):
        return False
    past, values = (
        torch.cat([far.expand(2, *far.shape), near], dim=2).float()
        for far, near in zip((keys, values), own, strict=True)
    )
    expected = functional.scaled_dot_product_attention(query.float(), past, values, enable_gqa=True).transpose(1, 2)
    return bool((found - expected).norm() <= _CLOSE * expected.norm())


@cache
def _compiled(group: int, size: int) -> Function:
    return _Attention(group, size).compiled()


class _Attention(Code):
    """function(queries, keys and values of the prefix, keys and values of their own, scores, outputs, queries, key
    heads, tokens of the first query's prefix, how many more each next one has, tokens of their own, and how far it is
    from a key head of the prefix to the next, from what is one query's own to the next one's, from a key head of that
    to the next; scale)

    group: query heads of a key head; size: of a head
    """

    def __init__(self, group: int, size: int) -> None:
        super().__init__([POINTER] * 7 + [LONG] * 8 + [FLOAT])
        self._multiply_add = self.declared("llvm.fmuladd.v16f32", FLOATS, [FLOATS] * 3)
        self._greater = self.declared("llvm.maxnum.v16f32", FLOATS, [FLOATS] * 2)
        self._nearest = self.declared("llvm.rint.v16f32", FLOATS, [FLOATS])
        self._whole = self.declared("llvm.fptosi.sat.v16i32.v16f32", WORDS, [FLOATS])
        self._size, self._vectors = size, size // LANES
        abreast = min(max(1, _SUMS // self._vectors), group)  # query heads whose sums stay in registers
        (queries, far_keys, far_values, near_keys, near_values, self._scores, out) = self.arguments[:7]
        count, key_heads, first_far, more, self._near, far_step, row_step, near_step, scale = self.arguments[7:]
        self._scale = self.spread(scale)
        self._sums = [[self.variable() for _ in range(self._vectors)] for _ in range(abreast)]
        self._totals = [self.variable() for _ in range(abreast)]
        with self.each(key_heads) as head, self.each(count) as row:
            self._far = self.at.add(first_far, self.at.mul(row, more))
            vectors = self.at.udiv(self.plus(self.at.add(self._far, self._near), LANES - 1), LONG(LANES))
            self._padded = self.times(vectors, LANES)
            far = self.at.mul(head, far_step)
            near = self.at.add(self.at.mul(row, row_step), self.at.mul(head, near_step))
            keys = self.moved(far_keys, far, HALF), self.moved(near_keys, near, HALF)
            values = self.moved(far_values, far, HALF), self.moved(near_values, near, HALF)
            asked = self.at.add(self.at.mul(row, key_heads), head)
            for first in range(0, group, abreast):
                start = self.times(self.plus(self.times(asked, group), first), size)
                some = range(min(abreast, group - first))
                self._score(self.moved(queries, start, HALF), keys, some)
                for number in some:
                    self._weigh(number)
                self._sum(values, self.moved(out, start, HALF), some)

    def _score(self, queries: Any, keys: tuple[Any, Any], some: range) -> None:
        """What each query makes of each key."""
        asked = [[self.at.fmul(one, self._scale) for one in self._row(queries, LONG(number))] for number in some]
        for number in some:  # what is behind the last token in its vector
            self.at.store(_all(-math.inf), self._score_at(number, self.plus(self._padded, -LANES)), align=4)
        for key, place in self._each_of(keys):
            for number, line in enumerate(asked):
                products = self.at.fmul(line[0], key[0])
                for one, other in zip(line[1:], key[1:], strict=True):
                    products = self.at.call(self._multiply_add, [one, other, products])
                self.at.store(self._added_up(products), self._score_at(number, place), align=4)

    def _each_of(self, rows: tuple[Any, Any]) -> Iterator[tuple[list[Any], Any]]:
        """What is written for one token is run for all of them: the row of a token, and its number."""
        for part, count, before in zip(rows, (self._far, self._near), (LONG(0), self._far), strict=True):
            with self.at.if_then(self.at.icmp_unsigned(">", count, LONG(0))), self.each(count) as token:
                yield self._fetched(part, token), self.at.add(before, token)

    def _weigh(self, number: int) -> None:
        """Scores to weights, and their total: e to how far each is below the largest."""
        total = self._totals[number]
        self.at.store(_all(-math.inf), total)
        for scores in self._each_vector(number):
            self.at.store(self.at.call(self._greater, [self.value(total), self.value(scores)]), total)
        largest = self.spread(self._folded(self.value(total), self._larger))
        self.clear([[total]])
        for scores in self._each_vector(number):
            weights = self._exponential(self.at.fsub(self.value(scores), largest))
            self.at.store(weights, scores, align=4)
            self.at.store(self.at.fadd(self.value(total), weights), total)

    def _each_vector(self, number: int) -> Iterator[Any]:
        """What is written for one is run for all vectors of a query's scores: where one lies."""
        with self.each(self.at.udiv(self._padded, LONG(LANES))) as vector:
            yield self._score_at(number, self.times(vector, LANES))

    def _sum(self, values: tuple[Any, Any], out: Any, some: range) -> None:
        """The values of all tokens by their weights."""
        self.clear(self._sums)
        for value, token in self._each_of(values):
            for number in some:
                weight = self.spread(self.value(self._score_at(number, token), FLOAT))
                for place, one in zip(self._sums[number], value, strict=True):
                    self.at.store(self.at.call(self._multiply_add, [weight, one, self.value(place)]), place)
        for number in some:
            total = self.spread(self._added_up(self.value(self._totals[number])))
            for start, place in zip(self._places(), self._sums[number], strict=True):
                mean = self.narrowed(self.rounded(self.at.fdiv(self.value(place), total)))
                self.at.store(mean, self.moved(out, number * self._size + start, HALF), align=2)

    def _fetched(self, rows: Any, token: Any) -> list[Any]:
        """A token's row, with what lies further on fetched meanwhile."""
        row = self.moved(rows, self.times(token, self._size), HALF)
        for start in range(0, 2 * self._size, _LINE):
            self.fetch(row, _AHEAD + start)
        return self._row(row, LONG(0))

    def _row(self, rows: Any, number: Any) -> list[Any]:
        row = self.moved(rows, self.times(number, self._size), HALF)
        return [self.numbers(row, place) for place in self._places()]

    def _places(self) -> range:
        return range(0, self._size, LANES)

    def _score_at(self, number: int, token: Any) -> Any:
        return self.moved(self._scores, self.at.add(self.times(self._padded, number), token), FLOAT)

    def _added_up(self, vector: Any) -> Any:
        return self._folded(vector, self.at.fadd)

    def _folded(self, vector: Any, join: Any) -> Any:
        """One float of a vector: its halves joined, again and again."""
        width = LANES
        while width > 1:
            width //= 2
            nothing, kind = ir.Constant(vector.type, ir.Undefined), ir.VectorType(WORD, width)
            halves = [ir.Constant(kind, [*range(start, start + width)]) for start in (0, width)]
            vector = join(*(self.at.shuffle_vector(vector, nothing, half) for half in halves))
        return self.at.extract_element(vector, WORD(0))

    def _larger(self, one: Any, other: Any) -> Any:
        return self.at.select(self.at.fcmp_ordered(">", one, other), one, other)

    def _exponential(self, numbers: Any) -> Any:
        """e to numbers that are 0 or less; to the lowest, where they are lower."""
        below = self.at.fcmp_ordered("<", numbers, _all(_LOWEST))  # what is no number stays none
        numbers = self.at.select(below, _all(_LOWEST), numbers)
        halvings = self.at.call(self._nearest, [self.at.fmul(numbers, _all(_LOG2_E))])
        for part in _LN2:
            numbers = self.at.call(self._multiply_add, [halvings, _all(-part), numbers])
        series = _all(_EXP[0])
        for term in _EXP[1:]:
            series = self.at.call(self._multiply_add, [series, numbers, _all(term)])
        square = self.at.fmul(numbers, numbers)
        powers = self.at.fadd(self.at.call(self._multiply_add, [series, square, numbers]), _all(1.0))
        exponents = self.at.shl(self.at.add(self.at.call(self._whole, [halvings]), all_of(127)), all_of(23))
        return self.at.fmul(powers, self.at.bitcast(exponents, FLOATS))


def _all(number: float) -> Any:
    return ir.Constant(FLOATS, [number] * LANES)
