"""`ig-guardrail policy score`, `record`, `replay`, `calibrate`, and `run --record`, as their users call them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from tests.documents import ROOT, blocks, commands
from tests.golden.conversations import CALM, LATE, POLITE, RUDE
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_policy import WITHOUT_TORCH
from tests.unit.workbench.recordings import TONE, recording

RunsOn = Callable[[ScriptedEngine], None]


@pytest.fixture
def polite(tmp_path: Path) -> str:
    file = tmp_path / "polite.yaml"
    file.write_text(POLITE, encoding="utf-8")
    return str(file)


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    file = tmp_path / "tone.yaml"
    file.write_text(TONE, encoding="utf-8")
    return file


@pytest.fixture
def answers(tmp_path: Path) -> str:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"text": text, "prompt": "Why?"}) + "\n" for text in (CALM, RUDE, LATE)))
    return str(file)


@pytest.fixture
def traffic(tmp_path: Path) -> str:
    """500 answers whose highest scores are 0.001, 0.002, ... 0.5."""
    file = tmp_path / "traffic.jsonl"
    levels = [place / 1000 for place in range(1, 501)]
    file.write_text("".join(recording([0.0, level], text_sha256=str(level)).as_line() + "\n" for level in levels))
    return str(file)


def test_a_text_is_scored_without_a_model_and_the_pattern_is_named(ig: Command, polite: str) -> None:
    ran = ig("policy", "score", polite, "--text", RUDE, "--prompt", "Why?")
    assert ran.code == 0
    assert "the text: denied by 'rudeness' at 8, 16 words" in ran.out
    assert r"fired rude: patterns[0] (?i)\bblockhead" in ran.out
    assert "prompt  score 0.000" in ran.out
    assert "note: without a model, charge points fall by words" in ran.out


def test_rows_are_scored_as_one_object_a_line(ig: Command, polite: str, answers: str) -> None:
    ran = ig("policy", "score", polite, "--file", answers, "--format", "json")
    assert [one["denied"] and one["denied"]["at"] for one in ran.objects] == [None, 8, 16]
    assert ran.objects[1]["points"][1]["scores"] == {"rude": 1.0}
    assert ran.objects[1]["points"][1]["left"] < 0


def test_beside_a_model_charge_points_fall_by_its_tokens(
    ig: Command, polite: str, runs_on: RunsOn, answers: str
) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM, (1, 0): RUDE, (2, 0): LATE})))
    ran = ig("policy", "score", polite, "--file", answers, "--model", "toy")
    assert "denied by 'rudeness' at 8, 16 tokens" in ran.out
    assert "note" not in ran.out
    assert not ran.out.endswith("\n\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "there is nothing to score"),
        (["--text", "a", "--file", "b"], "there is nothing to score, or too much"),
        (["--file", "no/such.jsonl"], "no such file"),
        (["--call", "{"], "the call cannot be read"),
    ],
)
def test_what_cannot_be_scored_is_an_error(ig: Command, polite: str, words: list[str], told: str) -> None:
    ran = ig("policy", "score", polite, *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_an_answer_is_recorded_and_replayed(ig: Command, polite: str, runs_on: RunsOn, tmp_path: Path) -> None:
    file = tmp_path / "rec.jsonl"
    for told in (CALM, LATE):
        runs_on(ScriptedEngine(Continuations({(0, 0): told})))
        ig("run", "--prompt", "Why?", "--policy", polite, "--seed", "7", "--record", str(file))
    ran = ig("policy", "replay", polite, "--on", str(file))
    assert ran.code == 0
    assert "denied 0 of 1 " in ran.out
    assert "not judged: 1, since drafts were denied when it was recorded" in ran.out


def test_texts_are_recorded_and_flips_fail_a_build(
    ig: Command, polite: str, runs_on: RunsOn, answers: str, tmp_path: Path
) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))
    file = str(tmp_path / "rec.jsonl")
    ran = ig("policy", "record", polite, "--file", answers, "--out", file, "--record-texts", "none")
    assert ran.out == f"3 answers recorded in {file}\n"
    assert '"text_sha256": null' in Path(file).read_text()
    same = ig("policy", "replay", polite, "--on", file, "--most-flips", "0")
    assert (same.code, "denied 2 of 3 " in same.out, "flips  0" in same.out) == (0, True, True)
    loose = tmp_path / "loose.yaml"
    loose.write_text(POLITE.replace("budget: 0.0", "budget: 9"))
    ran = ig("policy", "replay", str(loose), "--on", file, "--most-flips", "1")
    assert (ran.code, "2: 0 newly denied, 2 newly passed" in ran.out) == (1, True)
    against = ig("policy", "replay", str(loose), "--on", file, "--against", polite, "--format", "json")
    assert len(against.objects[0]["flips"]) == 2
    assert (
        'failures="1"' in ig("policy", "replay", str(loose), "--on", file, "--most-flips", "1", "--format", "junit").out
    )


def test_policies_are_compared_on_recordings_too(ig: Command, tone: Path, traffic: str, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(tone.read_text().replace("threshold: 0.5, budget: 0.1", "threshold: 0.3, budget: 0.1"))
    ran = ig("policy", "diff", str(tone), str(other), "--on", traffic)
    assert ran.code == 1
    assert "B denies all that A denies (proved), and more" in ran.out
    assert f"on {traffic}\npolicy tone 1.0.0" in ran.out
    assert re.search(r"flips  \d+: [1-9]\d* newly denied, 0 newly passed", ran.out)
    told = json.loads(ig("policy", "diff", str(tone), str(other), "--on", traffic, "--format", "json").out)
    flips = told["on"]["flips"]
    assert len(flips) == int(re.search(r"flips  (\d+)", ran.out)[1])  # type: ignore[index]
    assert told["on"]["denied"]["low"] < told["on"]["denied"]["value"] < told["on"]["denied"]["high"]


def test_a_threshold_is_calibrated_on_recordings_and_written(ig: Command, tone: Path, traffic: str) -> None:
    ran = ig("policy", "calibrate", str(tone), "--budget", "tone", "--benign", traffic, "--rate", "0.02", "--write")
    assert ran.code == 0
    assert "threshold 0.496: with 95% confidence at most 2.00% of harmless answers" in ran.out
    assert "touched 4 of 500 (4 allowed); exact upper bound 1.82%" in ran.out
    written = tone.read_text()
    assert "threshold: 0.496, x-calibrated: {rate: 0.02, confidence: 0.95, n: 500, touched: 4" in written
    assert ig("policy", "check", str(tone)).code == 0
    told = ig(
        "policy", "calibrate", str(tone), "--budget", "tone", "--benign", traffic, "--rate", "0.02", "--format", "json"
    )
    assert (told.objects[0]["threshold"], told.objects[0]["n"]) == (0.496, 500)


def test_what_an_older_claim_rests_on_is_stated_again_and_the_number_stays(
    ig: Command, tone: Path, traffic: str
) -> None:
    again = ("policy", "calibrate", str(tone), "--budget", "tone", "--benign", traffic, "--restate")
    ran = ig(*again)
    assert (ran.code, "has no claim to state again" in ran.err) == (2, True)
    assert ig(*again[:-1], "--rate", "0.02", "--write").code == 0
    whole = tone.read_text()
    before, after = whole.index(", threshold: 0.496, budget:"), whole.index("}, budget: 0.1}")
    old = whole[:before] + whole[after:]
    tone.write_text(old)
    ran = ig(*again)
    assert (ran.code, ran.out) == (0, f"the claim of budget 'tone' says again what it rests on, in {tone}\n")
    assert tone.read_text() == whole
    for change, why in (
        (("threshold: 0.496, x-", "threshold: 0.4, x-"), "the threshold is 0.4, and the claim is on 0.496"),
        (('cost_models: {words: "', 'cost_models: {words: "0'), "cost model 'words' is another one now"),
    ):
        tone.write_text(whole.replace(*change))
        ran = ig(*again)
        assert (ran.code, why in ran.err) == (2, True), ran.err
    assert "there is no rate" in ig(*again[:-1]).err


def test_a_packaged_policy_is_not_written_to(ig: Command, traffic: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"This is answer {n} of many."}) + "\n" for n in range(200)))
    ran = ig(
        "policy", "calibrate", "observe", "--budget", "toxic-tone", "--benign", str(rows), "--rate", "0.02", "--write"
    )
    assert ran.code == 2


def test_the_page_shows_what_the_command_writes(ig: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "docs/workbench.md"
    (text,) = (block.text for block in blocks(page, "yaml") if "name: fund" in block.text)
    (tmp_path / "fund.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (shown,) = (one for one in commands(page) if one.line.startswith("ig-guardrail policy score") and one.output)
    assert ig(*shlex.split(shown.line)[1:]).out == shown.output


@pytest.mark.slow
def test_all_of_it_runs_without_torch(tone: Path, traffic: str) -> None:
    for words in (
        ["score", str(tone), "--text", "Hello there."],
        ["replay", str(tone), "--on", traffic],
        ["calibrate", str(tone), "--budget", "tone", "--benign", traffic, "--rate", "0.02"],
    ):
        ran = subprocess.run(
            [sys.executable, "-c", WITHOUT_TORCH, "policy", *words], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("command", [("replay", "default", "--on"), ("report",)])
def test_a_recording_that_is_not_there_is_told_by_its_path(ig: Command, command: tuple[str, ...]) -> None:
    ran = ig("policy", *command, "nothere.jsonl", *(("--shadow",) if command == ("report",) else ()))
    assert ran.code == 2
    assert "nothere.jsonl: it cannot be read\n  why: no such file or directory" in ran.err
    assert "fix: check the path" in ran.err
