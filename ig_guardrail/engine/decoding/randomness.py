"""One uniform number per token, as a pure function of where the token stands.

A counter-based generator has no state to carry, rewind or share: drawing in another order, in other block sizes or
beside other candidates gives the same numbers.
"""

from __future__ import annotations

import hashlib
import struct

_WORD = 2**64 - 1
_FRACTION_BITS = 53  # what a double holds exactly


def uniform(seed: int, position: int, lane: int, attempt: int) -> float:
    """A number in [0, 1) for the token after `position` answer tokens, on `lane`, at `attempt`.

    Any integers are accepted; each counts modulo 2**64.
    """
    key = struct.pack("<4Q", seed & _WORD, position & _WORD, lane & _WORD, attempt & _WORD)
    word = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")
    return float((word >> (64 - _FRACTION_BITS)) / 2**_FRACTION_BITS)
