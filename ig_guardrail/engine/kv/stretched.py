"""Positions that a model reads otherwise in long texts than in short ones (LongRoPE: Phi 3, Phi 4 mini).

`transformers` chooses by how far each pass reaches. A text that grows past the border would be read by keys of both
kinds, and go on as nonsense; so all passes of a context are held to one kind, by how far it may grow.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_BORDER = "original_max_position_embeddings"  # tokens of the longest text that is read as a short one
_NEVER, _ALWAYS = sys.maxsize - 1, 2  # borders


class Stretched:
    """The positions of a model. border: None where they are read alike in texts of any length"""

    def __init__(self, config: Any) -> None:
        rope = getattr(config, "rope_parameters", None) or {}
        self._rope: dict[str, Any] = rope
        self.border: int | None = rope.get(_BORDER) if rope.get("rope_type") == "longrope" else None

    def is_long(self, reach: int) -> bool:
        """Whether a text that may come to `reach` tokens is read as a long one."""
        return self.border is not None and reach > self.border

    @contextmanager
    def held(self, long: bool) -> Iterator[None]:
        """Passes in which texts are read as long ones, or as short ones, whatever their length."""
        if self.border is None:
            yield
            return
        self._rope[_BORDER] = _ALWAYS if long else _NEVER
        try:
            yield
        finally:
            self._rope[_BORDER] = self.border
