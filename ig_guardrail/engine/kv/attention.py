"""Attention of many continuations to the one prefix they share, and to what each has of its own.

On a CPU in bfloat16 a compiled function takes token by token, prefix and own one after the other. Elsewhere torch takes
both parts, and they are merged:

    softmax over (prefix, own) = w * attention(prefix) + (1 - w) * attention(own),    w = sigmoid(lse_prefix - lse_own)

with lse the log of each part's normaliser. The prefix is read once for all continuations, which is what makes a wide
step cheap (Hydragen, arXiv 2402.05099, section 3). Exact up to rounding. Head groups (GQA) are never expanded: the
query heads that share a key head stand beside each other as further queries.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import torch
import torch.nn.functional as functional
from torch import Tensor

TILE = 32  # tokens; the kernel of torch on a CPU takes so many queries together
LONE, SEVERAL = 8, 2  # threads up to which one of them attends as fast as all by torch, for one token and for several
KeysValues: TypeAlias = tuple[Tensor, Tensor]


def attend(query: Tensor, prefix: KeysValues, own: KeysValues | None, scale: float) -> Tensor:
    """One token of each of n continuations over their common prefix and over what each has of its own, if anything.

    query (n, heads, 1, size); prefix keys and values (key heads, tokens, size); own keys and values
    (n, key heads, tokens, size). Gives (n, 1, heads, size).
    """
    by_token = _compiled(query, prefix, own, LONE if query.shape[0] == 1 else SEVERAL)
    if by_token is not None:
        return by_token.attend(query, prefix, own, scale)  # type: ignore[no-any-return]
    return attend_one(query, *prefix, scale) if own is None else attend_shared(query, prefix, own, scale)


def attend_piece(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Several new tokens of one continuation, each over all that came before it.

    query (1, heads, new, size); keys and values (key heads, tokens, size), of which the last `new` tokens are the new
    ones. Gives (1, new, heads, size).
    """
    by_token = _for_pieces(query, (keys, values))
    if by_token is not None:
        return by_token.attend_each(query, keys, values, scale)  # type: ignore[no-any-return]
    return attend_tiles(query, keys, values, scale)


def reads_by_token(query: Tensor, prefix: KeysValues) -> bool:
    """Whether each token of a piece attends by itself."""
    return _for_pieces(query, prefix) is not None


def _for_pieces(query: Tensor, prefix: KeysValues) -> Any:
    """As `_compiled`; None with AMX, by which torch multiplies tiles of tokens."""
    return None if torch.cpu._is_amx_tile_supported() else _compiled(query, prefix, None, SEVERAL)


def _compiled(query: Tensor, prefix: KeysValues, own: KeysValues | None, threads: int) -> Any:
    """What attends token by token with these, on up to so many threads; None where torch attends."""
    if query.device.type != "cpu" or query.dtype is not torch.bfloat16 or torch.get_num_threads() > threads:
        return None
    from ig_guardrail.engine.compiled import attention  # with llvmlite, in whose presence vLLM does not start

    return attention if attention.fits(query, prefix, own) else None


def attend_one(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """One token of one continuation over all that came before it, itself included.

    query (1, heads, 1, size); keys and values (key heads, tokens, size). Gives (1, 1, heads, size).
    In bfloat16 the query heads of a key head stand side by side; torch takes them one after the other otherwise.
    """
    _, heads, _, size = query.shape
    if query.dtype is not torch.bfloat16:
        out = functional.scaled_dot_product_attention(query, keys[None], values[None], scale=scale, enable_gqa=True)
        return out.transpose(1, 2)
    grouped = query.view(1, keys.shape[0], -1, size)
    out = functional.scaled_dot_product_attention(grouped, keys[None], values[None], scale=scale)
    return out.reshape(1, 1, heads, size)


def attend_shared(query: Tensor, prefix: KeysValues, own: KeysValues, scale: float) -> Tensor:
    """One token of each of n continuations over their common prefix and over what each has of its own.

    query (n, heads, 1, size); prefix keys and values (key heads, tokens, size); own keys and values
    (n, key heads, tokens, size). Gives (n, 1, heads, size).
    """
    count, heads, _, size = query.shape
    grouped = query.reshape(count, own[0].shape[1], -1, size)
    together = grouped.transpose(0, 1).reshape(1, own[0].shape[1], -1, size)
    far, far_mass = _part(together, prefix[0][None], prefix[1][None], scale)
    near, near_mass = _part(grouped, *own, scale)
    far = far.view(own[0].shape[1], count, -1, size).transpose(0, 1)
    far_mass = far_mass.view(own[0].shape[1], count, -1).transpose(0, 1)
    weight = torch.sigmoid(far_mass - near_mass)[..., None]
    merged = torch.lerp(near.float(), far.float(), weight).to(query.dtype)
    return merged.reshape(count, 1, heads, size)


def attend_tiles(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Several new tokens of one continuation, each over all that came before it, in tiles of `TILE` tokens.

    query (1, heads, new, size); keys and values (key heads, tokens, size), of which the last `new` tokens are the new
    ones. Gives (1, new, heads, size). Tiles end at multiples of `TILE` of the whole text, so what a token gets does not
    depend on how many were read with it, wherever a piece of the text began. On a CPU; elsewhere all at once.
    """
    if query.device.type != "cpu":
        return attend_block(query, keys[None], values[None], scale)
    end, start = keys.shape[1], keys.shape[1] - query.shape[2]
    stops = [*range(start - start % TILE + TILE, end, TILE), end]
    tiles = torch.split(query, [stop - first for first, stop in zip([start, *stops], stops, strict=False)], dim=2)
    done = [
        attend_block(tile, keys[None, :, :stop], values[None, :, :stop], scale)
        for tile, stop in zip(tiles, stops, strict=True)
    ]
    return torch.cat(done, dim=1)


def attend_block(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Several new tokens of each of n continuations, each over all that came before it.

    query (n, heads, new, size); keys and values (n, key heads, tokens, size), of which the last `new` tokens are the
    new ones. Gives (n, new, heads, size).
    """
    new, tokens = query.shape[2], keys.shape[2]
    mask = None if new == tokens else _causal(new, tokens, query.dtype, query.device)
    out = functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
    )
    return out.transpose(1, 2)


def _causal(new: int, tokens: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _added(new, tokens, dtype) if device.type == "cpu" else _seen(new, tokens, device)


@lru_cache(maxsize=32)  # the tiles of a piece, which all layers read one after the other
def _added(new: int, tokens: int, dtype: torch.dtype) -> Tensor:
    """What torch's kernel on a CPU makes of a mask in every call."""
    zeros = torch.zeros(new, tokens, dtype=dtype)
    return zeros.masked_fill_(~_seen(new, tokens, zeros.device), -math.inf)


def _seen(new: int, tokens: int, device: torch.device) -> Tensor:
    return torch.ones(new, tokens, dtype=torch.bool, device=device).tril(tokens - new)


def _part(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention to one part, (rows, heads, queries, size), and the log of its normaliser, (rows, heads, queries)."""
    if query.device.type == "cpu":
        # Private: no public call gives the normaliser on a CPU. Tested against `part_by_products`.
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out, mass = flash(query, keys, values, 0.0, False, attn_mask=None, scale=scale)
        return out, mass
    return part_by_products(query, keys, values, scale)


def part_by_products(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The same by plain matrix products, on any device."""
    scores = ((query * scale) @ keys.transpose(-1, -2)).float()  # scaled first: float16 overflows otherwise
    mass = scores.logsumexp(-1)
    return torch.exp(scores - mass[..., None]).to(values.dtype) @ values, mass
