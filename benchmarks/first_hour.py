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
    done: list[tuple[Step, str, float]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for step in steps(PAGE):
            begun = time.perf_counter()
            output = by_shell(step, folder)
            done.append((step, output, time.perf_counter() - begun))
            print(f"{done[-1][2]:6.1f} s  {step.line.splitlines()[0]}", flush=True)
        for name in KEPT:
            (RESULTS / "first-hour" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, RESULTS / "first-hour" / name)
    ran = [(step, seconds) for step, _, seconds in done if step.block.language != "diff"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "seconds": round(sum(seconds for _, seconds in ran), 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "steps": [
            {"does": step.line.splitlines()[0], "model": step.needs_model, "seconds": round(seconds, 1)}
            for step, seconds in ran
        ],
    }
    (RESULTS / "first-hour.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(with_outputs(PAGE, {step: output for step, output, _ in done}), encoding="utf-8")
    print(f"{result['seconds']} s in all")
    return 0


if __name__ == "__main__":
    run(main)
