"""Work that never ends, on two processes: `python -m tests.unit.evaluate.endless`. Each prints its process id."""

from __future__ import annotations

import os
import threading

from ig_guardrail.evaluate.comparison.workers import in_processes


def endless(task: int) -> None:
    os.write(1, f"{os.getpid()}\n".encode())  # in one write: an unbuffered `print` makes two, and the lines of two mix
    threading.Event().wait()


if __name__ == "__main__":
    list(in_processes(endless, [0, 1], 2))
