"""Attention in two parts is attention, for every grouping of heads and any lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ig_guardrail.engine.compiled import attention as compiled
from ig_guardrail.engine.kv import attention
from ig_guardrail.engine.kv.attention import _part, attend, attend_block, attend_one, attend_shared, part_by_products
from tests.examples import examples

LENGTHS = st.integers(1, 40)


def drawn(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def plain(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Causal softmax attention in double precision, key heads repeated and the whole matrix made."""
    groups = query.shape[1] // keys.shape[1]
    keys, values = (part.double().repeat_interleave(groups, 1) for part in (keys, values))
    scores = query.double() @ keys.transpose(-1, -2) * scale
    new, tokens = scores.shape[-2:]
    future = torch.ones(new, tokens, dtype=torch.bool).tril(tokens - new).logical_not()
    return (scores.masked_fill(future, -torch.inf).softmax(-1) @ values).transpose(1, 2)


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(1, 9), LENGTHS, LENGTHS, st.sampled_from([(4, 4), (4, 2), (9, 3), (4, 1)]), st.integers(0, 10**6))
def test_two_parts_are_one(count: int, far: int, near: int, heads: tuple[int, int], seed: int) -> None:
    query = 3 * drawn(seed, count, heads[0], 1, 16)
    prefix = drawn(seed + 1, heads[1], far, 16), drawn(seed + 2, heads[1], far, 16)
    own = drawn(seed + 3, count, heads[1], near, 16), drawn(seed + 4, count, heads[1], near, 16)
    whole = [torch.cat([a.expand(count, *a.shape), b], dim=2) for a, b in zip(prefix, own, strict=True)]
    expected = plain(query, *whole, 0.25)
    assert torch.allclose(attend_shared(query, prefix, own, 0.25).double(), expected, atol=1e-5)


@settings(max_examples=examples(40), deadline=None)
@given(LENGTHS, st.integers(1, 12), st.sampled_from([(4, 4), (9, 3), (4, 1)]), st.integers(0, 10**6))
def test_one_token_and_blocks(before: int, new: int, heads: tuple[int, int], seed: int) -> None:
    query, tokens = drawn(seed, 2, heads[0], new, 16), before + new
    keys, values = drawn(seed + 1, 2, heads[1], tokens, 16), drawn(seed + 2, 2, heads[1], tokens, 16)
    expected = plain(query, keys, values, 0.25)
    assert torch.allclose(attend_block(query, keys, values, 0.25).double(), expected, atol=1e-5)
    last = attend_one(query[:1, :, -1:], keys[0], values[0], 0.25)
    assert torch.allclose(last.double(), expected[:1, -1:], atol=1e-5)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_the_private_kernel_says_what_products_say(dtype: torch.dtype, close: float) -> None:
    store = drawn(0, 2, 3, 50, 64, dtype=dtype)
    query, keys, values = drawn(1, 1, 3, 12, 64, dtype=dtype), store[0, :, :37][None], store[1, :, :37][None]
    for mine, theirs in zip(
        _part(query, keys, values, 0.125), part_by_products(query, keys, values, 0.125), strict=True
    ):
        assert mine.shape == theirs.shape
        assert torch.allclose(mine.float(), theirs.float(), atol=close)


def test_nothing_is_lost_where_one_part_outweighs_the_other() -> None:
    query = torch.full((1, 1, 1, 16), 30.0)
    far, near = torch.full((1, 1, 16), 5.0), torch.full((1, 1, 1, 16), -5.0)
    values = drawn(0, 1, 1, 16), drawn(1, 1, 1, 1, 16)
    assert torch.equal(attend_shared(query, (far, values[0]), (near, values[1]), 1.0)[0, 0], values[0][0])
    assert torch.equal(attend_shared(query, (-far, values[0]), (-near, values[1]), 1.0)[0, 0], values[1][0, 0])


def test_products_do_not_overflow_in_half_precision() -> None:
    query = torch.full((1, 1, 1, 64), 40.0, dtype=torch.float16)
    out, mass = part_by_products(query, query, torch.ones_like(query), 0.125)
    assert torch.equal(out, torch.ones_like(query))
    assert mass.isfinite().all()


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("new", "tokens"), [(32, 64), (9, 41), (31, 500), (2, 3)])
def test_a_mask_that_is_kept_gives_the_bits_of_one_made_in_the_call(dtype: torch.dtype, new: int, tokens: int) -> None:
    shapes = ((1, 6, new, 32), (1, 2, tokens, 32), (1, 2, tokens, 32))
    query, keys, values = (drawn(seed, *shape, dtype=dtype) for seed, shape in enumerate(shapes))
    seen = torch.ones(new, tokens, dtype=torch.bool).tril(tokens - new)
    made = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen, scale=0.2, enable_gqa=True)
    for _ in range(2):
        assert torch.equal(attend_block(query, keys, values, 0.2), made.transpose(1, 2))


def some_of(seed: int, count: int, heads: tuple[int, int], far: int, near: int, size: int) -> tuple[Tensor, Any, Any]:
    """Queries, a prefix with room behind it, and what is their own, in bfloat16."""
    half = torch.bfloat16
    query = 3 * drawn(seed, count, heads[0], 1, size, dtype=half)
    store = drawn(seed + 1, 2, heads[1], far + 5, size, dtype=half)
    branch = drawn(seed + 2, 2, count, heads[1], near + 3, size, dtype=half)
    return query, tuple(store[:, :, :far]), tuple(branch[:, :, :, :near]) if near else None


@settings(max_examples=examples(60), deadline=None)
@given(
    st.integers(1, 5),
    LENGTHS,
    st.integers(0, 20),
    st.sampled_from([(4, 4), (9, 3), (14, 2), (4, 1)]),
    st.sampled_from([16, 64, 80, 256]),
    st.integers(0, 10**6),
)
def test_compiled_it_is_softmax(count: int, far: int, near: int, heads: tuple[int, int], size: int, seed: int) -> None:
    query, prefix, own = some_of(seed, count, heads, far, near, size)
    found = compiled.attend(query, prefix, own, size**-0.5)
    parts = [
        torch.cat([one.expand(count, *one.shape), *([] if own is None else [own[place]])], dim=2)
        for place, one in enumerate(prefix)
    ]
    expected = plain(query, parts[0], parts[1], size**-0.5)
    assert found.shape == expected.shape
    assert (found.double() - expected).norm() <= 0.005 * expected.norm() + 1e-6


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(1, 5), LENGTHS, st.integers(1, 20), st.sampled_from([(4, 4), (9, 3)]), st.integers(0, 10**6))
def test_compiled_a_token_has_the_same_bits_beside_others_and_wherever_its_prefix_ends(
    count: int, far: int, near: int, heads: tuple[int, int], seed: int
) -> None:
    query, prefix, own = some_of(seed, count, heads, far, near, 64)
    together = compiled.attend(query, prefix, own, 0.125)
    for row in range(count):
        alone = compiled.attend(query[row : row + 1], prefix, (own[0][row : row + 1], own[1][row : row + 1]), 0.125)
        on_trunk = tuple(torch.cat([one, other[row]], dim=1) for one, other in zip(prefix, own, strict=True))
        assert torch.equal(alone[0], together[row])
        assert torch.equal(compiled.attend(query[row : row + 1], on_trunk, None, 0.125)[0], together[row])


@settings(max_examples=examples(30), deadline=None)
@given(LENGTHS, st.integers(1, 20), st.integers(1, 20), st.sampled_from([(4, 4), (9, 3)]), st.integers(0, 10**6))
def test_compiled_a_text_has_the_same_bits_in_whatever_pieces_it_is_read(
    before: int, some: int, more: int, heads: tuple[int, int], seed: int
) -> None:
    query, (keys, values), _ = some_of(seed, some + more, heads, before + some + more, 0, 64)
    query = query.transpose(0, 2)
    whole = compiled.attend_each(query, keys, values, 0.125)
    first = compiled.attend_each(query[:, :, :some], keys[:, : before + some], values[:, : before + some], 0.125)
    rest = compiled.attend_each(query[:, :, some:], keys, values, 0.125)
    assert torch.equal(whole, torch.cat([first, rest], dim=1))
    assert torch.equal(whole[:, -1:], compiled.attend(query[:, :, -1:], (keys, values), None, 0.125))


@pytest.mark.parametrize("score", [1e4, -1e4, 0.0])
def test_compiled_large_scores_and_equal_ones_are_weighed(score: float) -> None:
    query = torch.full((1, 1, 1, 16), 1.0, dtype=torch.bfloat16)
    keys, values = torch.zeros(1, 40, 16, dtype=torch.bfloat16), drawn(0, 1, 40, 16, dtype=torch.bfloat16)
    keys[0, 7] = score / 16
    expected = plain(query, keys[None], values[None], 1.0)
    assert torch.allclose(compiled.attend(query, (keys, values), None, 1.0).double(), expected, atol=0.01)


def test_compiled_what_is_no_number_stays_none() -> None:
    query, prefix, _ = some_of(0, 1, (4, 2), 20, 0, 16)
    query[0, 1] = torch.nan
    found = compiled.attend(query, prefix, None, 0.25)[0, 0]
    assert found[1].isnan().all()
    assert found[[0, 2, 3]].isfinite().all()


@pytest.mark.parametrize("reason", ["float32", "threads", "size", "order", "unsound"])
def test_torch_attends_where_the_compiled_function_may_not(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 24 if reason == "size" else 32
    query, prefix, own = some_of(0, 2, (4, 2), 20, 3, size)
    assert own is not None
    if reason == "float32":
        query, prefix, own = query.float(), *(tuple(one.float() for one in pair) for pair in (prefix, own))
    elif reason == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1 + max(attention.LONE, attention.SEVERAL))
    elif reason == "order":
        prefix = tuple(one.transpose(1, 2).contiguous().transpose(1, 2) for one in prefix)
    elif reason == "unsound":
        monkeypatch.setattr(compiled, "_is_sound", lambda *_: False)
    monkeypatch.setattr(compiled, "_run", None)
    assert torch.equal(attend(query, prefix, own, 0.2), attend_shared(query, prefix, own, 0.2))
    assert torch.equal(attend(query[:1], prefix, None, 0.2), attend_one(query[:1], *prefix, 0.2))
