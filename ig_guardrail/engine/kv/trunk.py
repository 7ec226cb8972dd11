"""Where keys and values lie: a trunk holds a prefix once, a branch what its continuations add to it."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

import torch
from torch import Tensor

_ROOM = 256  # tokens to spare in a trunk that is made or made wider


class TrunkUser(Protocol):
    """Someone who needs the first `claim` tokens of a trunk to stay as they are, or to be free for writing."""

    @property
    def claim(self) -> float: ...

    def can_retreat(self, length: int) -> bool:
        """Whether `retreat` to that length is possible and worth it."""
        ...

    def retreat(self, length: int) -> None:
        """Claim `length` tokens at most, and keep a copy of what lies behind them."""
        ...


class Trunk:
    """Keys and values of one token sequence, in one tensor: (layers, 2, key heads, room, size).

    Tokens are written only behind what every tenant claims, so what a tenant reads never changes.
    """

    def __init__(self, store: Tensor) -> None:
        self._store = store
        self._tenants: WeakSet[TrunkUser] = WeakSet()

    def admit(self, tenant: TrunkUser) -> None:
        """Take in a tenant; it leaves when it is forgotten."""
        self._tenants.add(tenant)

    def leave(self, tenant: TrunkUser) -> None:
        """A tenant that has moved elsewhere."""
        self._tenants.discard(tenant)

    def bytes(self) -> int:
        """Memory held, with the room that is not written yet."""
        return self._store.untyped_storage().nbytes()

    def clear(self, length: int) -> bool:
        """Have nobody claim more than `length` tokens, so that more can be written there; False if somebody must."""
        beyond = [tenant for tenant in self._tenants if tenant.claim > length]
        if not all(tenant.can_retreat(length) for tenant in beyond):
            return False
        for tenant in beyond:
            tenant.retreat(length)
        return True

    def part(self, layer: int, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first `length` tokens, each (key heads, length, size)."""
        pair = self._store[layer, :, :, :length]
        return pair[0], pair[1]

    def make_room(self, length: int) -> None:
        """Have room for `length` tokens, and for some more where it is made."""
        room = self._store.shape[3]
        if length > room:
            wider = self._space(max(length + _ROOM, room * 5 // 4))
            wider[:, :, :, :room] = self._store
            self._store = wider

    def copy(self, start: int, stop: int) -> Tensor:
        """A copy of what lies from `start` to `stop`, as a row of a branch: (layers, 2, key heads, tokens, size)."""
        return self._store[:, :, :, start:stop].clone()

    def write(self, layer: int, start: int, keys: Tensor, values: Tensor) -> None:
        """Put keys and values (key heads, tokens, size) at `start`; there is room."""
        stop = start + keys.shape[1]
        self._store[layer, 0, :, start:stop] = keys
        self._store[layer, 1, :, start:stop] = values

    def take_in(self, length: int, branch: Tensor) -> None:
        """Put what a row of a branch holds, (layers, 2, key heads, tokens, size), behind the first `length` tokens."""
        stop = length + branch.shape[3]
        self.make_room(stop)
        self._store[:, :, :, length:stop] = branch

    def fork(self, length: int) -> Trunk:
        """A trunk of its own with the first `length` tokens."""
        copied = Trunk(self._space(length + _ROOM))
        copied._store[:, :, :, :length] = self._store[:, :, :, :length]
        return copied

    def branch(self, rows: int, room: int) -> Tensor:
        """Unwritten space for what `rows` continuations add: (layers, 2, rows, key heads, room, size)."""
        layers, two, heads, _, size = self._store.shape
        return self._store.new_empty((layers, two, rows, heads, room, size))

    def _space(self, room: int) -> Tensor:
        return self._store.new_empty((*self._store.shape[:3], room, self._store.shape[4]))


def new_trunk(shape: tuple[int, int, int, int, int], dtype: torch.dtype, device: torch.device) -> Trunk:
    """A trunk without tokens, of a shape as above."""
    return Trunk(torch.empty(shape, dtype=dtype, device=device))
