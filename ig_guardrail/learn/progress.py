"""One line on the error stream that says how far a long job is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def progress_line(what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that rewrites one line, and ends it when all is done."""
    started = time.monotonic()

    def show(done: int, total: int) -> None:
        spent = time.monotonic() - started
        left = spent / done * (total - done) if done else 0.0
        sys.stderr.write(f"\r{what}: {done} of {total}, {spent:.0f} s, about {left:.0f} s left   ")
        sys.stderr.write("\n" if done == total else "")
        sys.stderr.flush()

    return show
