"""docs/first-hour.md without a model: its steps, in their order, write what it shows.

`--rewrite-golden` writes what they write into the page; `python benchmarks/first_hour.py` does so for all steps.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.first_hour import PAGE, differs, shows, walk
from tests.walks import steps, with_outputs


def test_the_steps_without_a_model_write_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    done = dict(walk(tmp_path, monkeypatch, with_model=False))
    if pytestconfig.getoption("--rewrite-golden"):
        PAGE.write_text(with_outputs(PAGE, done), encoding="utf-8")
        return
    for step, output in done.items():
        assert not differs(step, output), f"{step.place} shows\n{shows(step)}\nand the real output is\n{output}"


def test_the_walk_goes_through_all_that_an_author_does() -> None:
    lines = " ".join(step.line for step in steps(PAGE))
    said = re.findall(r"ig-guardrail ((?:policy )?[a-z]+)", lines)
    wanted = ["new", "explain", "check", "test", "score", "diff", "replay", "calibrate"]
    assert {f"policy {one}" for one in wanted} | {"run", "chat"} <= {*said}


def test_it_was_timed_as_it_stands_and_takes_less_than_ten_minutes() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "first-hour.json").read_text())
    ran = [step.line.splitlines()[0] for step in steps(PAGE) if step.block.language != "diff"]
    assert [one["does"] for one in result["steps"]] == ran
    assert result["processor"] < result["wall"] < 600
