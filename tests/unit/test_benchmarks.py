"""The benchmarks, which no test runs, name what is there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["bench", "gpu", "growth", "picture", "report", "transcripts"])
def test_every_script_can_be_started(name: str) -> None:
    assert callable(importlib.import_module(name).main)


def test_what_the_profile_puts_clocks_around_exists() -> None:
    profile: Any = importlib.import_module("speed.profile")
    assert [name for owner, name, _ in profile.CLOCKED if not callable(getattr(owner, name, None))] == []


def test_every_measured_part_is_shown_somewhere() -> None:
    bench: Any = importlib.import_module("bench")
    report: Any = importlib.import_module("report")
    measured = {row["of"] for row in report._read(report.RESULTS, "bench")["figures"]}
    assert measured <= {*bench.PARTS}
    assert {*report.ELSEWHERE} <= {*bench.PARTS}
