"""`ledger prune` and `audit prune`: what is forgotten, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ig_guardrail.audit.log import AuditLog
from ig_guardrail.ledger import LedgerEntry, Limit, SQLiteLedger
from ig_guardrail.settings import AuditFile
from tests.unit.cli.conftest import Command

DAY_S = 86_400


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Accounts that were silent for 0 to 3 weeks; "b" and "d" have spent nothing."""
    path = tmp_path / "ledger.db"
    ledger = SQLiteLedger(path)
    now = datetime.now(UTC).timestamp()
    for weeks, account in enumerate("abcd"):
        monkeypatch.setattr("ig_guardrail.ledger.sqlite.time.time", lambda: now - 7 * DAY_S * weeks)  # noqa: B023
        ledger.advance(account, 1)
        if account in "ac":
            ledger.charge([LedgerEntry(account, 1, "x", 0.5)], {"x": Limit("x", 1.0)})
    monkeypatch.undo()
    return path


def left(path: Path) -> str:
    return "".join(account for account in "abcd" if SQLiteLedger(path).turn(account) == 2)


def test_accounts_are_forgotten_by_age(ig: Command, kept: Path) -> None:
    assert ig("ledger", "prune", str(kept), "--older-than", "30d").out == "0 accounts forgotten\n"
    assert ig("ledger", "prune", str(kept), "--older-than", "10d").out == "2 accounts forgotten\n"
    assert left(kept) == "ab"


def test_accounts_are_forgotten_by_count_those_that_spent_nothing_first(ig: Command, kept: Path) -> None:
    assert ig("ledger", "prune", str(kept), "--keep", "3").out == "1 account forgotten\n"
    assert left(kept) == "abc"
    assert ig("ledger", "prune", str(kept), "--older-than", "10d", "--keep", "1").out == "2 accounts forgotten\n"
    assert left(kept) == "a"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "it is not said what is dropped"),
        (("--older-than", "180"), "'180' is no number of days"),
        (("--older-than", "0d"), "'0d' is no number of days"),
        (("--older-than", "9999999d"), "is no number of days"),
    ],
)
@pytest.mark.parametrize("command", ["ledger", "audit"])
def test_what_says_nothing_is_refused(
    ig: Command, kept: Path, command: str, arguments: tuple[str, ...], told: str
) -> None:
    ran = ig(command, "prune", str(kept), *arguments)
    assert (ran.code, told in ran.err) == (2, True)


def test_a_ledger_that_is_not_there_is_not_made(ig: Command, tmp_path: Path) -> None:
    ran = ig("ledger", "prune", str(tmp_path / "other.db"), "--older-than", "180d")
    assert (ran.code, "there is no such ledger" in ran.err) == (2, True)
    assert not (tmp_path / "other.db").exists()


def test_old_files_of_a_log_are_deleted_and_the_rest_verifies(ig: Command, tmp_path: Path) -> None:
    path, now = tmp_path / "audit.jsonl", datetime.now(UTC)
    for days in (200, 100, 1, 0):
        AuditLog(AuditFile(path, daily=True), lambda: now - timedelta(days=days)).append({"kind": "answer"})  # noqa: B023
    assert len(list(tmp_path.glob("*.jsonl"))) == 4
    assert ig("audit", "prune", str(path), "--older-than", "180d").out == f"{path}: 1 file deleted\n"
    assert ig("audit", "prune", str(path), "--keep-files", "1").out == f"{path}: 1 file deleted\n"
    assert sorted(one.name for one in tmp_path.glob("*.jsonl")) == ["audit.jsonl", "audit.part000003.jsonl"]
    assert ig("audit", "verify", str(path)).code == 0
