"""A sentence encoder: texts in, vectors of length 1 out, the mean of the states of a text's pieces.

Texts are run one by one. Run together they would cost as much on one thread, and with encoders that quantise what they
compute a vector would depend on what else was asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.threads.locks import ForkSafeLock

Vector: TypeAlias = NDArray[np.float64]
TokenStates: TypeAlias = Callable[[Sequence[int]], NDArray[np.floating[Any]]]

KEPT = 256  # vectors, so that two heads that read one answer cost one reading
LEAST_NORM = 1e-12


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class SentenceEncoder:
    """An encoder for one caller at a time.

    sha256   of its weights and its tokenizer
    size     numbers in a vector
    longest  pieces of a text, special ones included; what lies beyond them is not read
    tokenizer  of the package `tokenizers`; it neither pads nor cuts
    states   for the ids of one text, the states behind them (pieces, size)
    """

    name: str
    sha256: str
    size: int
    longest: int
    tokenizer: Any
    states: TokenStates
    _turn: ForkSafeLock = field(default_factory=ForkSafeLock)
    _known: OrderedDict[str, Vector] = field(default_factory=OrderedDict)

    def pieces(self, word: str) -> int:
        """How many pieces a word has, special ones left out."""
        return len(self.tokenizer.encode(word, add_special_tokens=False).ids)

    @property
    def room(self) -> int:
        """How many pieces of words a text may have."""
        return self.longest - int(self.tokenizer.num_special_tokens_to_add(is_pair=False))

    def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """A vector (size,) for each text, which depends on nothing but that text."""
        with self._turn:
            return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        found = self._known.get(text)
        if found is None:
            ids = self.tokenizer.encode(text).ids[: self.longest]
            mean = self.states(ids).astype(np.float64).mean(axis=0)
            found = self._known[text] = mean / max(float(np.linalg.norm(mean)), LEAST_NORM)
        self._known.move_to_end(text)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return found
