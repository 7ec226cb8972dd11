"""Random numbers of a strategy's own: a pure function of what they are drawn for, so that a request repeats."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def uniform(seed: int, position: int, throw: int) -> float:
    """A number in [0, 1) for one throw at a position of the answer. They are not the engine's numbers."""
    key = f"strategy {seed} {position} {throw}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()[:7]) / 2**56


def drawn(law: Mapping[int, float], number: float) -> int:
    """The token at a number in [0, 1) of the cumulative law, in its order. Masses need not sum to 1."""
    left = number * sum(law.values())
    for token, mass in law.items():
        left -= mass
        if left < 0:
            return token
    return max(law, key=law.__getitem__)
