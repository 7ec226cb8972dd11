"""Where a step's time goes, and what widening some blocks costs; measured, or drawn from what was measured.

python benchmarks/profiling.py           measure; writes benchmarks/out/profile.json
python benchmarks/profiling.py --draw    draw docs/images/ from benchmarks/results/profile.json
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from command import run
from rich.console import Console
from speed import charts, shares, widening
from speed.stage import open_stage, origin_of

from ig_guardrail.evaluate import tables

HERE = Path(__file__).parent
IMAGES = HERE.parent / "docs" / "images"
PAIRS = 5


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure where a step's time goes, or draw it.")
    parser.add_argument("--draw", action="store_true", help="measure nothing; draw the results")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="runs of each kind")
    options = parser.parse_args(arguments)
    if options.draw:
        draw(HERE / "results" / "profile.json", IMAGES)
    else:
        measure(options.pairs, HERE / "out" / "profile.json")
    return 0


def measure(pairs: int, path: Path) -> None:
    """Write profile.json."""
    console = Console()
    torch.set_num_threads(1)
    stage = open_stage()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    say("widening:")
    widened = widening.measure(stage, pairs, say)
    say("shares:")
    spent = shares.measure(stage, pairs, say)
    measured = datetime.now(UTC).strftime("%Y-%m-%d")
    tables.write_json(path, {"measured": measured, **origin_of(stage), "shares": spent, "widening": widened})
    say(f"written to {path}")


def draw(results: Path, images: Path) -> None:
    """Both pictures."""
    result = json.loads(results.read_text(encoding="utf-8"))
    images.mkdir(parents=True, exist_ok=True)
    charts.draw_shares(result, images / "profile.png")
    charts.draw_widening(result, images / "cost-model.png")


if __name__ == "__main__":
    run(main, failed=1)
