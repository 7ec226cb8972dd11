"""The measurement of steps in vLLM, tried on a CPU with a shape that costs nothing, whose weights vLLM makes up."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import gpu


def test_steps_in_vllm_are_measured() -> None:
    with gpu.opened("vllm", "tiny", "cpu") as bench:
        rows = gpu.measure(bench, "vllm-tiny", 1, lengths=(40,), widths=(1, 8))
    assert [one["name"] for one in rows] == [
        "gpu-vllm-tiny-opened-memory",
        *(f"gpu-vllm-tiny-40-{what}" for what in ("plain", "1", "8", "1-memory", "8-memory")),
    ]
    assert all(one["value"] > 0 for one in rows)
