"""`run --audit`, `audit verify`, `audit replay` and `policy report`, as their users call them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from tests.golden.conversations import CALM, LATE, POLITE, RUDE
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_policy import WITHOUT_TORCH

RunsOn = Callable[[ScriptedEngine], None]


@pytest.fixture
def polite(tmp_path: Path) -> str:
    file = tmp_path / "polite.yaml"
    file.write_text(POLITE.replace("prompt:", "x-prompt:"), encoding="utf-8")
    return str(file)


@pytest.fixture
def log(ig: Command, runs_on: RunsOn, polite: str, tmp_path: Path) -> Path:
    """Three answers: one that is shown, one that ends, one that is refused."""
    file = tmp_path / "audit.jsonl"
    for told in (CALM, LATE, RUDE):
        runs_on(ScriptedEngine(Continuations({(lane, attempt): told for lane in range(4) for attempt in range(4)})))
        ig("run", "--prompt", "Why?", "--policy", polite, "--seed", "7", "--audit", str(file))
    return file


def test_a_log_is_verified_and_replayed(ig: Command, log: Path, polite: str) -> None:
    ran = ig("audit", "verify", str(log))
    assert ran.code == 0
    assert f"lines 1 to 3 of {log}: 3 answers, bound without a key" in ran.out
    head = ran.out.splitlines()[-2].split()[-1]
    assert ig("audit", "verify", str(log), "--head", head, "--lines", "3").code == 0
    assert ig("audit", "verify", str(log), "--head", f"{log}.head").code == 0
    ran = ig("audit", "replay", str(log))
    assert (ran.code, ran.out) == (0, "3 decisions came out as they were written, 0 did not\n")
    assert ig("audit", "replay", str(log), "--policy", polite).code == 0


def test_what_was_changed_is_named_and_fails(ig: Command, log: Path, tmp_path: Path) -> None:
    head = tmp_path / "kept.head"
    head.write_text(Path(f"{log}.head").read_text())
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([lines[0].replace('"completed"', '"cancelled"'), lines[1]]))
    ran = ig("audit", "verify", str(log), "--head", str(head))
    assert ran.code == 1
    assert f"{log}:1: it was changed" in ran.out
    assert f"{log}.head: the log ends at line 2, and had 3: lines were cut off" in ran.out
    assert "broken: 3 faults" in ran.out
    (told,) = ig("audit", "verify", str(log), "--format", "json").objects
    assert (told["ok"], len(told["faults"]), told["last"]["n"]) == (False, 2, 2)


def test_a_line_whose_decision_differs_is_named(ig: Command, log: Path, polite: str, tmp_path: Path) -> None:
    looser = tmp_path / "looser.yaml"
    looser.write_text(
        Path(polite).read_text().replace("threshold: 0.5", "threshold: 0.0").replace("blockhead", "light")
    )
    ran = ig("audit", "replay", str(log), "--policy", str(looser))
    assert (ran.code, "cost model 'rude' is another one now" in ran.out) == (1, True)
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([lines[0].replace('"left":{"rudeness":0.0}', '"left":{"rudeness":1.0}'), *lines[1:]]))
    ran = ig("audit", "replay", str(log))
    assert ran.code == 1
    assert f"{log}:1: 'rudeness' has 0.0 left, and was told to have 1.0" in ran.out
    (told,) = ig("audit", "replay", str(log), "--format", "json").objects
    assert (told["same"], len(told["differences"])) == (2, 1)


def test_a_key_is_demanded_and_guessed_keys_fail(
    ig: Command, runs_on: RunsOn, polite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))
    key, log = tmp_path / "key", tmp_path / "keyed.jsonl"
    key.write_text("k" * 64)
    key.chmod(0o600)
    ig("run", "--prompt", "Why?", "--policy", polite, "--audit", str(log), "--key-file", str(key))
    ran = ig("audit", "verify", str(log))
    assert (ran.code, "the log is written under a key" in ran.err) == (2, True)
    assert "bound by a key" in ig("audit", "verify", str(log), "--key-file", str(key)).out
    monkeypatch.setenv("IG_GUARDRAIL_AUDIT_KEY", "g" * 64)
    assert ig("audit", "verify", str(log)).code == 1
    key.chmod(0o644)
    assert "chmod 600" in ig("audit", "verify", str(log), "--key-file", str(key)).err


def test_a_conversation_is_audited(ig: Command, runs_on: RunsOn, polite: str, tmp_path: Path) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))
    log = str(tmp_path / "chat.jsonl")
    ig("chat", "--policy", polite, "--seed", "7", "--audit", log, stdin=b"Why?\nWhy?\n")
    assert f"lines 1 to 2 of {log}: 2 answers" in ig("audit", "verify", log).out


def test_a_log_that_cannot_be_written_answers_nothing(
    ig: Command, runs_on: RunsOn, polite: str, tmp_path: Path
) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))
    ran = ig("run", "--prompt", "Why?", "--policy", polite, "--audit", str(tmp_path / "no" / "audit.jsonl"))
    assert (ran.code, ran.out) == (2, "")
    assert "the audit log cannot be written" in ran.err


@pytest.mark.parametrize("words", [["verify", "none.jsonl"], ["replay", "none.jsonl"], ["verify", "--head", "x"]])
def test_what_is_not_there_is_an_error(ig: Command, log: Path, words: list[str]) -> None:
    ran = ig("audit", *words, *([str(log)] if "--head" in words else []))
    assert (ran.code, ran.out) == (2, "")


def test_a_report_is_read_off_a_log(ig: Command, runs_on: RunsOn, polite: str, tmp_path: Path) -> None:
    log = tmp_path / "shadow.jsonl"
    observed = tmp_path / "observed.yaml"
    observed.write_text(Path(polite).read_text().replace("every: 4", "every: 4, mode: shadow"))
    for told in (CALM, RUDE):
        runs_on(ScriptedEngine(Continuations({(0, 0): told})))
        ig("run", "--prompt", "Why?", "--policy", str(observed), "--seed", "7", "--audit", str(log))
    ran = ig("policy", "report", str(log), "--shadow")
    assert ran.code == 0
    assert "would have denied 1 of 2 (50.0%, 95% interval 1.3% to 98.7%)" in ran.out
    assert ig("policy", "report", str(log), "--shadow", "--format", "json").objects[0]["rows"][0]["now"]["count"] == 1
    assert ig("policy", "report", str(log), "--shadow", "--format", "html").out.startswith("<!doctype html>")
    assert (ig("policy", "report", str(log), "--canary").code, ig("policy", "report", str(log)).code) == (1, 2)
    assert json.loads(log.read_text().splitlines()[0])["kind"] == "answer"


def test_a_report_is_read_off_what_run_writes(ig: Command, runs_on: RunsOn, polite: str, tmp_path: Path) -> None:
    observed, told = tmp_path / "observed.yaml", tmp_path / "receipts.jsonl"
    observed.write_text(Path(polite).read_text().replace("every: 4", "every: 4, mode: shadow"))
    runs_on(ScriptedEngine(Continuations({(0, 0): RUDE})))
    told.write_text(ig("run", "--prompt", "Why?", "--policy", str(observed), "--json").out)
    ran = ig("policy", "report", str(told), "--shadow")
    assert (ran.code, "budget rudeness (hte) of polite" in ran.out, "denied 1 of 1 " in ran.out) == (0, True, True)


def test_texts_are_kept_where_that_is_asked_for(ig: Command, runs_on: RunsOn, polite: str, tmp_path: Path) -> None:
    runs_on(ScriptedEngine(Continuations({(0, 0): CALM})))
    log = tmp_path / "texts.jsonl"
    ig("run", "--prompt", "Why?", "--policy", polite, "--audit", str(log), "--audit-texts")
    assert CALM in log.read_text()


@pytest.mark.slow
def test_all_of_it_runs_without_torch(log: Path) -> None:
    for words in (["audit", "verify", str(log)], ["audit", "replay", str(log)]):
        ran = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
