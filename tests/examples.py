"""On how many examples a property is tried: all of them, or the share that `make check` asks for."""

from __future__ import annotations

import os

SHARE = float(os.environ.get("IG_EXAMPLES", "1"))
FEWEST = 5


def examples(count: int) -> int:
    """The share IG_EXAMPLES of `count`, at least a few."""
    return max(min(count, FEWEST), round(count * SHARE))
