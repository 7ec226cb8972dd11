"""`~` is the home wherever a file is named, and no folder of that name is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail import GuardedChatModel
from ig_guardrail.drive.records.recorder import append_line
from ig_guardrail.errors import LedgerError
from ig_guardrail.integrations.openai_server.settings.serve_file import read_config
from ig_guardrail.ledger import ledger_at
from ig_guardrail.settings import AuditFile, RecordingFile
from tests.golden.conversations import POLITE
from tests.unit.cli.conftest import Command
from tests.unit.cli.conftest import ig as ig
from tests.unit.langchain.teller import teller

NAMES = ["audit.jsonl", "ledger.db", "policy.yaml"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    found.mkdir()
    elsewhere.mkdir()
    (found / "policy.yaml").write_text(POLITE, encoding="utf-8")
    monkeypatch.setenv("HOME", str(found))
    monkeypatch.chdir(elsewhere)
    return found


def test_files_of_a_guard_lie_in_the_home(home: Path) -> None:
    files = {name: f"~/{name}" for name in NAMES}
    guarded = GuardedChatModel(
        inner=teller("All is well."),
        policy=files["policy.yaml"],
        audit=files["audit.jsonl"],
        ledger=files["ledger.db"],
        reload=True,
    )
    assert guarded.invoke("x").content == "All is well."
    assert {name for name in NAMES if (home / name).is_file()} == set(NAMES)
    assert list(Path().iterdir()) == []


def test_recordings_lie_there(home: Path) -> None:
    append_line(RecordingFile(Path("~/records/today.jsonl")), "{}")
    assert (home / "records" / "today.jsonl").read_text(encoding="utf-8") == "{}\n"
    assert list(Path().iterdir()) == []


def test_commands_read_there(home: Path, ig: Command) -> None:
    for path in ("~/policy.yaml", "~"):
        ran = ig("policy", "check", path)
        assert (ran.code, f"{home}/policy.yaml" in ran.out) == (0, True), ran.out + ran.err


def test_settings_of_a_server_name_it(home: Path) -> None:
    text = "policies: {polite: {file: ~/policy.yaml}}\naudit: {path: ~/audit.jsonl}\nledger: ~/ledger.db\n"
    Path("serve.yaml").write_text(text, encoding="utf-8")
    config = read_config(Path("serve.yaml"), {})
    assert config.policies == {"polite": f"{home}/policy.yaml"}
    assert isinstance(config.spec.audit, AuditFile)
    assert config.spec.audit.path == home / "audit.jsonl"


@pytest.mark.parametrize("nothing", ["", ".", Path()])
def test_a_ledger_needs_a_file(nothing: str | Path) -> None:
    with pytest.raises(LedgerError, match="the path of the ledger names no file"):
        ledger_at(nothing)
