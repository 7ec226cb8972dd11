"""Walks docs/first-hour.md in an empty folder, as its reader does, and measures how long each step takes.

python benchmarks/first_hour.py     writes benchmarks/results/first-hour.json, what the steps with a model made (into
                                    benchmarks/results/first-hour/), and the real outputs into the page
python benchmarks/report.py         puts the figures into the page
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from command import run  # noqa: E402

from tests.walks import Step, by_shell, steps, with_outputs  # noqa: E402

PAGE = ROOT / "docs" / "first-hour.md"
RESULTS = ROOT / "benchmarks" / "results"
KEPT = ("helpdesk/policy_test.scores.jsonl", "traffic/harmless.jsonl", "answer.jsonl")  # what later steps read


def main(_: Sequence[str]) -> int:
    """Do every step, keep its time, its output and what it made."""
    done: list[tuple[Step, str, dict[str, float]]] = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for step in steps(PAGE):
            begun = _clocks()
            output = by_shell(step, folder)
            took = {name: round(now - begun[name], 1) for name, now in _clocks().items()}
            done.append((step, output, took))
            print(f"{took['processor']:6.1f} s  {step.line.splitlines()[0]}", flush=True)
        for name in KEPT:
            (RESULTS / "first-hour" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, RESULTS / "first-hour" / name)
    ran = [(step, took) for step, _, took in done if step.block.language != "diff"]
    result = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "others": round(load, 1),  # processes that ran beside it when it began
        **{name: round(sum(took[name] for _, took in ran), 1) for name in _clocks()},
        "steps": [{"does": step.line.splitlines()[0], "model": step.needs_model, **took} for step, took in ran],
    }
    (RESULTS / "first-hour.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(with_outputs(PAGE, {step: output for step, output, _ in done}), encoding="utf-8")
    print(f"{result['processor']} s of a processor, {result['wall']} s by the clock on the wall")
    return 0


def _clocks() -> dict[str, float]:
    """Seconds of processors, which processes that ended have used, and seconds by the clock on the wall."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"processor": used.ru_utime + used.ru_stime, "wall": time.perf_counter()}


if __name__ == "__main__":
    run(main)
