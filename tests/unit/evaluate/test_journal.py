"""The journal: whatever stops a run, what was finished is found again."""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.evaluate.quality.trials import Journal
from tests.unit.evaluate.records import OVER, answer, trial

DONE = trial(answer("bad", audit=OVER), answer("good"), answer("again"), answer("b", "ended"))


def test_a_trial_reads_back_as_it_was(tmp_path: Path) -> None:
    Journal(tmp_path / "out" / "j.jsonl").add(DONE)
    assert Journal(tmp_path / "out" / "j.jsonl").get("r-1", 41) == DONE


def test_a_trial_without_a_control_reads_back_without_one(tmp_path: Path) -> None:
    calm = trial(answer("good"), answer("good"))
    Journal(tmp_path / "j.jsonl").add(calm)
    assert Journal(tmp_path / "j.jsonl").get("r-1", 41) == calm


def test_another_seed_is_another_trial(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.add(DONE)
    assert journal.get("r-1", 42) is None


def test_a_torn_line_is_forgotten_and_what_follows_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    Journal(file).add(DONE)
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    torn = Journal(file)
    assert torn.get("r-1", 41) is None
    torn.add(DONE)
    assert Journal(file).get("r-1", 41) == DONE
