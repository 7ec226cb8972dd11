"""What guarding costs: time and memory of answers, beside what `generate` takes for the same.

    python benchmarks/bench.py                        everything
    python benchmarks/bench.py --only calm --pairs 9  one part; other figures stay as they are

One torch thread, CPU time of the whole process, runs in turning order, medians of paired ratios. A missed bound is
printed loudly and does not change the exit code; an error does.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from command import earlier, publish, run
from speed import (
    always,
    calm,
    lag,
    lengths,
    llama_cpp,
    memory,
    naive,
    profile,
    prompts,
    starting,
    steps,
    together,
    weights,
)
from speed.stage import Stage, open_stage, origin_of

from ig_guardrail.evaluate import tables

HERE = Path(__file__).parent
PAIRS = 5

Measure: TypeAlias = Callable[[Stage, int], list[tables.Row]]

PARTS: Mapping[str, Measure] = {
    "calm": calm.measure,
    "lengths": lengths.measure,
    "prompts": prompts.measure,
    "always": always.measure,
    "naive": naive.measure,
    "memory": memory.measure,
    "together": together.measure,
    "lag": lag.measure,
    "weights": weights.measure,
    "steps": steps.measure,
    "profile": profile.measure,
    "start": starting.measure,
    "llama.cpp": llama_cpp.measure,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure what guarding costs in time and memory.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="paired runs of each comparison")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given again")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    if options.pairs < 1:
        parser.error("give at least one pair")
    torch.set_num_threads(1)
    stage = open_stage()
    origin = origin_of(stage)
    figures = earlier(options.out / "bench.json", origin, PARTS)
    for name in options.only or PARTS:
        figures[name] = [{**row, "of": name} for row in PARTS[name](stage, options.pairs)]
    rows = [row for name in PARTS for row in figures.get(name, ())]
    publish(options.out / "bench.json", "Time and memory, one thread", rows, **origin)
    return 0


if __name__ == "__main__":
    run(main)
