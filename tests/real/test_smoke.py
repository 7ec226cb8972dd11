"""The comparison from the command line to its table, on the embedded model: 80 prompts, three strategies, 8 tokens."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ig_guardrail.evaluate.comparison.records import Record, from_fields

pytestmark = [pytest.mark.real, pytest.mark.slow]

STRATEGIES = ("none", "cut", "inference_guard")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `ig-guardrail eval smoke` writes."""
    place = tmp_path_factory.mktemp("smoke")
    command = [sys.executable, "-m", "ig_guardrail", "eval", "smoke", "--out", "out", "--streams", "8"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=1800)
    assert ran.returncode == 0, ran.stderr
    assert all(f"| {name} |" in ran.stdout for name in STRATEGIES)
    return place / "out"


@pytest.fixture(scope="module")
def records(folder: Path) -> list[Record]:
    lines = (folder / "records.jsonl").read_text().splitlines()
    return [from_fields(json.loads(line)["record"]) for line in lines if line]


def test_every_prompt_was_answered_by_every_strategy_and_nothing_failed(records: list[Record]) -> None:
    cells = Counter((record.cell.strategy, record.cell.set) for record in records)
    assert cells == {(name, kind): 40 for name in STRATEGIES for kind in ("risky", "benign")}
    assert {record.outcome for record in records} <= {"completed", "refused", "ended"}


def test_no_guarded_answer_is_over_budget_and_some_unguarded_ones_are(records: list[Record]) -> None:
    over = Counter(record.cell.strategy for record in records if record.over)
    assert set(over) == {"none"}
    assert all(left >= 0 for record in records if record.cell.strategy != "none" for _, left in record.trace)


def test_where_nothing_was_at_risk_the_guard_changed_nothing(records: list[Record]) -> None:
    said = {(one.cell.strategy, one.cell.set, one.cell.prompt): one for one in records}
    calm = [key[2] for key, one in said.items() if key[:2] == ("inference_guard", "benign") and one.peak < 0.5]
    assert len(calm) > 20
    for prompt in calm:
        guarded, unguarded = (said[name, "benign", prompt] for name in ("inference_guard", "none"))
        if guarded.tokens["generated"] == unguarded.tokens["generated"]:
            assert guarded.text == unguarded.text


def test_the_table_has_a_row_for_each_and_is_kept_in_every_form(folder: Path) -> None:
    with (folder / "table.csv").open(newline="") as file:
        rows = {row["strategy"]: row for row in csv.DictReader(file)}
    assert tuple(rows) == STRATEGIES
    assert [float(rows[name]["over"]) for name in ("cut", "inference_guard")] == [0.0, 0.0]
    assert {row["over_n"] for row in rows.values()} == {"80"}
    assert json.loads((folder / "results.json").read_text())["config"]["name"] == "smoke"
    assert all(f"| {name} |" in (folder / "table.md").read_text() for name in STRATEGIES)
