"""Keys and values by sharing: continuations keep what is their own, and read the one prefix they have in common.

One continuation alone writes on its trunk, token by token, or on a copy if the trunk goes on otherwise. Several get a
branch each beside the trunk; the one that is continued later is copied onto the trunk, once a block. Rows of all
requests are read in one forward: the linear layers see one batch, attention is done for each group of rows by itself,
so lengths need not match and nothing is padded.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer

from ig_guardrail.engine.decoding.pages import page_keys
from ig_guardrail.engine.decoding.passes import Pass, PassResult
from ig_guardrail.engine.decoding.prefill import SHORTEST
from ig_guardrail.engine.early_exit.layers import upper_layers
from ig_guardrail.engine.kv.attention import TILE, attend, attend_block, attend_piece, reads_by_token
from ig_guardrail.engine.kv.prompt_cache import PromptCache
from ig_guardrail.engine.kv.trunk import Trunk, new_trunk
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.types import StateEdit

ATTENTION = "ig_guardrail_shared"
_ROPES = ("default", "linear", "llama3", "yarn")  # positions that do not depend on what else is in the batch
_CLOSE = 0.05
FINE = 8  # tokens of a page of the prompt cache at least
_SHORT = 64  # tokens that a prefix copies to make way; a longer one stays, and who comes forks
CHUNK = 512  # tokens; a longer prompt is read in pieces, so that others are not kept waiting


class SharedPrefix:
    """One prefix: `reach` tokens on a trunk, then `own` tokens in a row of a branch, and the logits after them."""

    def __init__(self, trunk: Trunk, reach: int, logits: Tensor, row: Tensor | None = None) -> None:
        self.trunk = trunk
        self.reach = reach
        self.row = row
        self.logits = logits
        trunk.admit(self)

    @property
    def claim(self) -> float:
        return self.reach

    @property
    def own(self) -> int:
        return 0 if self.row is None else int(self.row.shape[3])

    @property
    def shape(self) -> Hashable:
        return id(self.trunk), self.reach, self.own

    @property
    def ended(self) -> bool:
        """Whether an answer ends here: nothing is drawn behind it, and it is there to be kept for prompts."""
        return not self.logits.numel()

    def can_retreat(self, length: int) -> bool:
        return self.ended or self.reach - length <= _SHORT

    def retreat(self, length: int) -> None:
        """Make way; what an ended answer would copy too much for, it gives up."""
        if self.reach - length > _SHORT:
            self.reach, self.row = length, None
            return
        behind = self.trunk.copy(length, self.reach)
        self.row = behind if self.row is None else torch.cat([behind, self.row], dim=3)
        self.reach = length

    def copy(self, start: int, stop: int) -> Tensor:
        """Keys and values of tokens that it has read, (layers, 2, key heads, tokens, size)."""
        far = self.trunk.copy(start, min(stop, self.reach)) if start < self.reach else None
        if self.row is None or stop <= self.reach:
            assert far is not None, "tokens were asked for that were not read"
            return far
        near = self.row[:, :, :, max(0, start - self.reach) : stop - self.reach].clone()
        return near if far is None else torch.cat([far, near], dim=3)

    def settle(self) -> None:
        """Move what lies in a branch onto the trunk, or onto a copy of it if the trunk goes on otherwise."""
        if self.row is None:
            return
        trunk, length = self.trunk, self.reach
        if not trunk.clear(length):
            trunk = trunk.fork(length)
        trunk.take_in(length, self.row)
        self.trunk.leave(self)
        self.trunk, self.reach, self.row = trunk, length + self.own, None
        trunk.admit(self)


class SharedRows:
    """Continuations that stand at one length. A row that is alone writes on its trunk (`branch` is None)."""

    def __init__(self, trunk: Trunk, reach: int, branch: Tensor | None, own: int, count: int) -> None:
        self.trunk = trunk
        self.reach = reach
        self.branch = branch
        self.own = own
        self._count = count
        trunk.admit(self)

    @property
    def claim(self) -> float:
        """A row that writes on the trunk claims all of it."""
        return math.inf if self.branch is None else self.reach

    def can_retreat(self, length: int) -> bool:
        """Never while tokens are being read."""
        return False

    def retreat(self, length: int) -> None:
        raise NotImplementedError

    @property
    def count(self) -> int:
        return self._count

    @property
    def length(self) -> int:
        """Tokens that each row has read."""
        return self.reach + self.own

    def keep(self, rows: Sequence[int]) -> None:
        if self.branch is not None:
            self.branch = self.branch[:, :, torch.tensor(rows, device=self.branch.device)]
        self._count = len(rows)

    def freeze(self, row: int, logits: Tensor) -> SharedPrefix:
        own = None if self.branch is None else self.branch[:, :, row, :, : self.own].clone()
        return SharedPrefix(self.trunk, self.reach, logits, own)

    def mark(self) -> tuple[int, int]:
        return self.reach, self.own

    def back(self, mark: tuple[int, int], tokens: int) -> None:
        self.reach, self.own = mark
        self.note(tokens)

    def rejoin(self, mark: tuple[int, int], depth: int) -> None:
        """They lie where they were written."""

    def make_room(self, tokens: int) -> None:
        """Before a pass over `tokens` tokens."""
        if self.branch is None:
            self.trunk.make_room(self.reach + tokens)

    def note(self, tokens: int) -> None:
        """After a pass: the tokens are part of the prefix."""
        if self.branch is None:
            self.reach += tokens
        else:
            self.own += tokens

    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Keys and values (rows, key heads, tokens, size) of the tokens that are being read."""
        if self.branch is None:
            self.trunk.write(layer, self.reach, keys[0], values[0])
        else:
            stop = self.own + keys.shape[2]
            self.branch[layer, 0, :, :, self.own : stop] = keys
            self.branch[layer, 1, :, :, self.own : stop] = values

    def attend(self, layer: int, query: Tensor, scale: float) -> Tensor:
        """query (rows, heads, tokens, size), its keys and values written; gives (rows, tokens, heads, size)."""
        new = query.shape[2]
        if new == 1:
            return self._attend_one(layer, query, 1, scale)
        if self.branch is None:
            keys, values = self.trunk.part(layer, self.reach + new)
            return attend_piece(query, keys, values, scale)
        prefix = self.trunk.part(layer, self.reach)
        if reads_by_token(query[:1], prefix):
            return self.attend_singly(layer, query, scale)
        pair = self.branch[layer, :, :, :, : self.own + new]
        whole = [
            torch.cat([far.expand(self._count, *far.shape), near], dim=2)
            for far, near in zip(prefix, pair, strict=True)
        ]
        return attend_block(query, whole[0], whole[1], scale)

    def attend_singly(self, layer: int, query: Tensor, scale: float) -> Tensor:
        """The same, by the arithmetic of a pass over each token alone, so with its bits."""
        ones = enumerate(torch.split(query, 1, dim=2), start=1)
        return torch.cat([self._attend_one(layer, one, new, scale) for new, one in ones], dim=1)

    def _attend_one(self, layer: int, query: Tensor, new: int, scale: float) -> Tensor:
        """One token, the `new`-th of those that are being read."""
        if self.branch is None:
            return attend(query, self.trunk.part(layer, self.reach + new), None, scale)
        pair = self.branch[layer, :, :, :, : self.own + new]
        return attend(query, self.trunk.part(layer, self.reach), (pair[0], pair[1]), scale)


@dataclass(frozen=True, slots=True)
class ForwardPlan:
    """The passes of one forward, and which of its tokens are whose. Stands in for a `transformers` cache.

    All tokens stand in one row, (1, tokens, ...): pass by pass, and in each row by row.
    singly: of a pass that is alone, see `Pass`
    """

    parts: Sequence[tuple[SharedRows, slice]]
    singly: bool = False
    _turns: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def turns(self, positions: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Cosines and sines of all tokens, (1, tokens, 1, size), by which both halves of a head are turned at once."""
        if not self._turns:
            cosines, sines = positions
            half = sines.shape[-1] // 2
            signed = torch.cat((-sines[..., :half], sines[..., half:]), dim=-1)
            self._turns.append((cosines[:, :, None], signed[:, :, None]))
        return self._turns[0]

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by every attention layer with the new keys and values, (1, key heads, tokens, size)."""
        for rows, place in self.parts:
            rows.write(layer, _by_row(keys, rows, place), _by_row(values, rows, place))
        return keys, values

    def attend(self, layer: int, query: Tensor, scale: float) -> Tensor:
        """Attention of all tokens: query (1, heads, tokens, size); gives (1, tokens, heads, size)."""
        if self.singly:
            return self.parts[0][0].attend_singly(layer, query, scale)
        done = [
            rows.attend(layer, _by_row(query, rows, place), scale).flatten(0, 1)[None] for rows, place in self.parts
        ]
        return done[0] if len(done) == 1 else torch.cat(done, dim=1)


def _by_row(tensor: Tensor, rows: SharedRows, place: slice) -> Tensor:
    """What is whose, (1, heads, tokens, size), as (rows, heads, tokens of each, size)."""
    if rows.count == 1:
        return tensor[:, :, place]
    _, heads, _, size = tensor.shape
    return tensor[0, :, place].reshape(heads, rows.count, -1, size).transpose(0, 1)


def _in_rows(tensor: Tensor, count: int) -> Tensor:
    """(tokens, size) as (rows, tokens of each, size)."""
    return tensor.reshape(count, -1, tensor.shape[-1])


class Sharing:
    """`Caching` by shared prefixes; `serves` says for which models."""

    name = "shared"
    piece = CHUNK
    shortest = SHORTEST

    def __init__(self, model: Model, cache: PromptCache | None = None) -> None:
        self._model = model
        self._cache = PromptCache(0) if cache is None else cache
        self.device = model.device

    @cached_property
    def page(self) -> int:
        """Tokens of a page of the prompt cache: few where each token attends by itself, else those of a tile."""
        keys, values = self.empty(1).trunk.part(0, 1)
        query = keys.new_zeros((1, self._model.config.num_attention_heads, 1, keys.shape[2]))
        return FINE if reads_by_token(query, (keys, values)) else TILE

    @cached_property
    def tile(self) -> int:
        """Found by a trial, when it is first asked for."""
        return self.page if self._is_steady() else CHUNK

    def empty(self, room: int, reach: int = 0) -> SharedRows:
        config = self._model.config
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        trunk = new_trunk((config.num_hidden_layers, 2, heads, room, size), self._model.source.dtype, self.device)
        return SharedRows(trunk, 0, None, 0, 1)

    def pages(self, ids: Sequence[int], salt: str) -> Sequence[bytes]:
        return list(page_keys(ids, salt, self.page)) if self._cache.limit else ()

    @cached_property
    def keeps_answers(self) -> bool:
        """Found by a trial, when it is first asked for: tokens alone and a few at a time, beside those of a prompt."""
        each = (2 * SHORTEST, *range(1, SHORTEST))
        return self._cache.limit > 0 and self.tile == FINE and self._reads_alike(each)

    def keep(self, prefix: SharedPrefix, pages: Sequence[bytes]) -> None:
        self._cache.keep(pages[: (prefix.reach + prefix.own) // self.page], partial(self._page, prefix))

    def recall(self, rows: Any, pages: Sequence[bytes]) -> int:
        return self._take(rows, pages[rows.length // self.page :])

    def _take(self, rows: SharedRows, pages: Sequence[bytes]) -> int:
        """Put the pages that are kept behind what a row has read; how many tokens that is."""
        found = self._cache.find(pages)
        found = found[: len(found) - len(found) * self.page % self.tile // self.page]
        if found:
            rows.trunk.take_in(rows.reach, torch.cat(found, dim=3))
            rows.note(len(found) * self.page)
        return len(found) * self.page

    def _page(self, read: Trunk | SharedPrefix, number: int) -> Tensor:
        return read.copy(number * self.page, (number + 1) * self.page)

    def start(self, prefixes: Sequence[SharedPrefix], room: int) -> SharedRows:
        first, count = prefixes[0], len(prefixes)
        assert all(prefix.shape == first.shape for prefix in prefixes), "rows of different shapes were put together"
        if all(prefix is first for prefix in prefixes):
            first.settle()
            if count == 1:  # always on a trunk, so that one stream gives the same bits however it came about
                trunk = first.trunk if first.trunk.clear(first.reach) else first.trunk.fork(first.reach)
                return SharedRows(trunk, first.reach, None, 0, 1)
        branch = first.trunk.branch(count, first.own + room)
        for row, prefix in enumerate(prefixes):
            if prefix.row is not None:
                branch[:, :, row, :, : prefix.own] = prefix.row
        return SharedRows(first.trunk, first.reach, branch, first.own, count)

    def _is_steady(self) -> bool:
        """Whether tokens get the same bits in pieces of any length."""
        return self._reads_alike((-(-SHORTEST // self.page) * self.page, SHORTEST))

    @torch.inference_mode()
    def _reads_alike(self, pieces: Sequence[int]) -> bool:
        """Whether the last layer makes the same of noise in pieces of so many tokens as of all at once."""
        if self.device.type != "cpu" or len(self._model.layers) < 2:
            return False
        seed = torch.Generator().manual_seed(0)
        noise = torch.randn(1, sum(pieces), self._model.config.hidden_size, generator=seed)
        whole, cut = self.empty(sum(pieces)), self.empty(sum(pieces))
        read = [self.last_layer(cut, piece) for piece in torch.split(noise, list(pieces), dim=1)]
        return torch.equal(self.last_layer(whole, noise), torch.cat(read, dim=1))

    def last_layer(self, rows: SharedRows, states: Tensor) -> Tensor:
        """What the last layer makes of the states of the layer before it, (1, tokens, hidden size)."""
        depth, tokens = len(self._model.layers) - 1, [[0] * states.shape[1]]
        with upper_layers(self._model.layers, depth, states.to(self._model.source.dtype)):
            (reading,) = self.read([Pass(rows, tokens, 1, (depth + 1,), RequestUsage(0))])
        return reading.hidden[depth + 1]  # type: ignore[no-any-return]

    def read(self, passes: Sequence[Pass[Any]]) -> list[PassResult]:
        """All passes in one forward; those with edited states each in one of its own, and what is known in none."""
        readings = [self._known(one) for one in passes]
        left = [place for place, reading in enumerate(readings) if reading is None]
        alone = [place for place in left if passes[place].edit is not None or passes[place].singly]
        together = [place for place in left if place not in alone]
        for places in (together, *([place] for place in alone)):
            for place, reading in zip(places, self._forward([passes[place] for place in places]), strict=True):
                readings[place] = reading
        return [reading for reading in readings if reading is not None]

    def _known(self, one: Pass[Any]) -> PassResult | None:
        """A piece of a prompt that was read for others meanwhile takes no work."""
        rows: Any = one.rows
        piece = one.pages[rows.length // self.page : (rows.length + len(one.tokens[0])) // self.page]
        if len(piece) * self.page != len(one.tokens[0]) or not self._cache.has(piece):
            return None
        self._take(rows, piece)
        return PassResult(torch.empty(0), {}, read=0)

    def _forward(self, passes: Sequence[Pass[Any]]) -> list[PassResult]:
        """Their tokens in one row; where a pass has states edited, or tokens that attend singly, it is alone."""
        if not passes:
            return []
        parts: list[tuple[SharedRows, slice]] = []
        tokens: list[int] = []
        positions: list[int] = []
        kept: list[int] = []
        for one in passes:
            rows: Any = one.rows
            new, first = len(one.tokens[0]), len(tokens)
            rows.make_room(new)
            tokens += [token for row in one.tokens for token in row]
            positions += [rows.length + i for _ in one.tokens for i in range(new)]
            kept += [i for i in range(first, len(tokens)) if (i - first) % new >= new - one.keep]
            parts.append((rows, slice(first, len(tokens))))
        layers = tuple(sorted({layer for one in passes for layer in one.layers}))
        plan = ForwardPlan(parts, passes[0].singly)
        whole = self._run(plan, tokens, positions, kept, layers, passes[0].edit)
        readings, first = [], 0
        for one, (rows, place) in zip(passes, parts, strict=True):
            rows.note(len(one.tokens[0]))
            stop = first + one.rows.count * one.keep
            states = {layer: _in_rows(whole.hidden[layer][0, place], rows.count) for layer in one.layers}
            readings.append(PassResult(_in_rows(whole.logits[0, first:stop], rows.count), states))
            first = stop
            self._cache.keep(one.pages[: rows.length // self.page], partial(self._page, rows.trunk))
        return readings

    def _run(
        self,
        plan: ForwardPlan,
        tokens: Sequence[int],
        positions: Sequence[int],
        kept: Sequence[int],
        layers: Sequence[int],
        edit: StateEdit | None,
    ) -> PassResult:
        config, usual = self._model.config, self._model.config._attn_implementation
        config._attn_implementation = ATTENTION
        try:
            with self._model.edited(edit, len(kept)):
                return self._model.run(
                    [tokens],
                    torch.tensor(kept, device=self.device),
                    layers,
                    past_key_values=plan,
                    position_ids=torch.tensor([positions], device=self.device),
                    ig_guardrail_plan=plan,
                )
        finally:
            config._attn_implementation = usual


def serves(model: Model) -> bool:
    """Whether sharing gives what the model gives: every layer attends to all tokens, by plain softmax and positions."""
    return may_serve(model) and _agrees(model)


def may_serve(model: Model) -> bool:
    """Whether its configuration says so."""
    config = model.config
    layers = DynamicCache(config=config).layers
    plain = len(layers) == config.num_hidden_layers and all(type(layer) is DynamicLayer for layer in layers)
    odd = any(getattr(config, key, None) for key in ("attn_logit_softcapping", "attention_chunk_size"))
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    return plain and not odd and rope in _ROPES


@torch.inference_mode()
def _agrees(model: Model) -> bool:
    """Read three tokens, the last by two rows of one prefix, and compare with one plain pass over them."""
    try:
        sharing, account = Sharing(model), RequestUsage(0)
        rows = sharing.empty(2)
        (reading,) = sharing.read([Pass(rows, [[0, 1]], 1, (), account)])
        prefix = rows.freeze(0, reading.logits[0, -1])
        (reading,) = sharing.read([Pass(sharing.start([prefix, prefix], 1), [[2], [3]], 1, (), account)])
        plain = model.run([[0, 1, 2], [0, 1, 3]], 1, ()).logits
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError):
        return False
    return bool((reading.logits - plain).norm() <= _CLOSE * plain.norm())


def _attention(
    module: Any, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scaling: float, **keys_: Any
) -> tuple[Tensor, None]:
    plan: ForwardPlan = keys_["ig_guardrail_plan"]
    return plan.attend(module.layer_idx, query, scaling), None


AttentionInterface.register(ATTENTION, _attention)
