"""What guarding costs: CPU time and memory of answers, beside what `generate` takes for the same.

    python benchmarks/bench.py                          everything
    python benchmarks/bench.py --only search --pairs 9  parts whose name holds a word; other figures stay as they are

One torch thread, CPU time of the whole process, runs in turning order, medians of paired ratios. A missed bound is
printed loudly and does not change the exit code; an error does.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from command import run
from rich.console import Console
from speed import always, bits, calm, cancel, early, forks, lag, memory, naive, together
from speed.stage import Say, Stage, open_stage, origin_of

from ig_guardrail.evaluate import tables

HERE = Path(__file__).parent
PAIRS = 5

Measure: TypeAlias = Callable[[Stage, int, Say], list[tables.Row]]

PARTS: Mapping[str, Measure] = {
    "calm": calm.measure,
    "early": early.measure,
    "search": always.measure,
    "paper": always.measure_paper,
    "bits": bits.measure,
    "naive": naive.measure,
    "memory": memory.measure,
    "forks": forks.measure,
    "together": together.measure,
    "lag": lag.measure,
    "cancel": cancel.measure,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure what guarding costs in time and memory.")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="paired runs of each comparison")
    parser.add_argument("--only", default="", metavar="NAME", help=f"parts whose name holds this: {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    parts = [name for name in PARTS if options.only in name]
    if not parts or options.pairs < 1:
        parser.error("give a part that exists, and at least one pair")
    console = Console()
    torch.set_num_threads(1)
    stage = open_stage()
    origin = origin_of(stage)
    figures = earlier(options.out / "bench.json", origin)
    for name in parts:
        figures[name] = measured(PARTS[name], name, stage, options.pairs, console)
    publish({name: figures[name] for name in PARTS if name in figures}, origin, options.out, console)
    return 0


def measured(measure: Measure, name: str, stage: Stage, pairs: int, console: Console) -> list[tables.Row]:
    """The rows of one part, with its progress on the console."""
    began = time.monotonic()
    console.print(f"{name}:", markup=False, highlight=False)
    rows = measure(stage, pairs, lambda text: console.print(text, markup=False, highlight=False))
    console.print(f"  {time.monotonic() - began:.0f} s", markup=False, highlight=False)
    return [{**row, "of": name} for row in rows]


def earlier(path: Path, origin: Mapping[str, Any]) -> dict[str, list[tables.Row]]:
    """The rows of the last run by part, if they are of the same origin."""
    last = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(last.get(key) != value for key, value in origin.items()):
        return {}
    figures: dict[str, list[tables.Row]] = {}
    for row in last["figures"]:
        figures.setdefault(row["of"], []).append(row)
    return figures


def publish(
    figures: Mapping[str, Sequence[tables.Row]], origin: Mapping[str, Any], out: Path, console: Console
) -> None:
    """Write bench.json and print the table."""
    rows = [row for name in figures for row in figures[name]]
    measured = datetime.now(UTC).strftime("%Y-%m-%d")
    tables.write_json(out / "bench.json", {"measured": measured, **origin, "figures": rows})
    console.print(tables.terminal("Time and memory, one thread", rows))
    missed = [row["title"] for row in rows if row["ok"] is False]
    console.print(f"MISSED: {'; '.join(missed)}" if missed else "All bounds are kept.", markup=False)
    console.print(f"written to {out / 'bench.json'}", markup=False)


if __name__ == "__main__":
    run(main, failed=1)
