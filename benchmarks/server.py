"""The server under load: streams at once, how evenly text comes, and what is left of callers.

    python benchmarks/server.py                          everything
    python benchmarks/server.py --only gaps --pairs 9    one part; other figures stay as they are

The server runs in a process of its own, on a unix socket, with one torch thread. Runs turn about; medians of paired
ratios. Wall time is the callers', so a busy machine shows in it. A missed bound is printed, and changes no exit code.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from command import earlier, publish, run
from serving import leaving, streams
from serving.callers import Running, running_server

from ig_guardrail.evaluate import tables

HERE = Path(__file__).parent
PAIRS = 5

Measure: TypeAlias = Callable[[Running, int], list[tables.Row]]

PARTS: Mapping[str, Measure] = {
    "together": streams.measure_together,
    "gaps": streams.measure_gaps,
    "soak": leaving.measure_soak,
    "unread": leaving.measure_unread,
    "disconnects": leaving.measure_disconnects,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the server under load.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="paired runs of each comparison")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given again")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    if options.pairs < 1:
        parser.error("give at least one pair")
    file = options.out / "server.json"
    with running_server() as server:
        figures = earlier(file, server.origin, PARTS)
        for name in options.only or PARTS:
            busy = round(os.getloadavg()[0], 1)
            figures[name] = [{**row, "of": name, "load": busy} for row in PARTS[name](server, options.pairs)]
    rows = [row for name in PARTS for row in figures.get(name, ())]
    publish(file, "The server under load", rows, **server.origin)
    return 0


if __name__ == "__main__":
    run(main)
