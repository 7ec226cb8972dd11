"""The ledger's file: whose it is, of which version, and what becomes of it when it is cut, emptied or taken away."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GenerationFailed, LedgerError
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from ig_guardrail.ledger import AccountKey, LedgerEntry, Limit, SQLiteLedger
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Message, Sampling, SearchSettings
from tests.golden.conversations import POLITE, RUDE, compiled
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy
from tests.unit.drive.test_conversations import DRIP
from tests.unit.langchain.teller import teller

LIMIT = Limit("x", 1.0)
SHARED = POLITE.replace("every: 4}", "every: 4, budget: 0.6, scope: conversation}").replace("budget: 0.0, ", "")
FIRST_VERSION = """
PRAGMA journal_mode=WAL;
CREATE TABLE turns (account TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE answers (account TEXT, sha256 TEXT, PRIMARY KEY (account, sha256)) STRICT, WITHOUT ROWID;
CREATE TABLE charges (
    account TEXT NOT NULL, budget TEXT NOT NULL, turn INTEGER NOT NULL, cost REAL NOT NULL CHECK (cost > 0)
) STRICT;
CREATE INDEX by_account ON charges (account, budget);
INSERT INTO turns VALUES ('a', 3);
INSERT INTO answers VALUES ('a', 'f00d');
INSERT INTO charges VALUES ('a', 'x', 1, 0.1), ('a', 'x', 1, 0.1), ('a', 'x', 2, 0.10000002384185791);
"""


def spend(ledger: SQLiteLedger, cost: float = 0.4, account: str = "a") -> bool:
    return ledger.charge([LedgerEntry(account, 1, "x", cost)], {"x": LIMIT})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def asked(path: Path, text: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(text).fetchall()
    finally:
        connection.close()


def test_a_ledger_that_cannot_be_used_is_told_before_a_model_is_opened(tmp_path: Path) -> None:
    with pytest.raises(LedgerError):
        open_guardrail(GuardrailSpec(str(tmp_path / "no-model"), ledger=str(tmp_path / "no-folder" / "ledger.db")))


# ------------------------------------------------------------------------------------------------ whose, which version


def test_only_its_owner_may_read_it_and_whatever_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    before = os.umask(0)
    try:
        ledger = SQLiteLedger(path)
        assert spend(ledger)
        with ledger._transaction() as connection:
            connection.execute("DELETE FROM charges")
            beside = {file.name: mode(file) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert beside == {"ledger.db": 0o600, "ledger.db-journal": 0o600}


def test_no_name_stands_in_it(tmp_path: Path) -> None:
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    spend(ledger, account="ann@example.org")
    ledger.advance("ann@example.org", 1)
    ledger.remember("ann@example.org", "f00d")
    assert b"ann" not in (tmp_path / "ledger.db").read_bytes()


def test_nothing_of_it_is_mapped_and_no_write_ahead_log_lies_beside_it(tmp_path: Path) -> None:
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    with ledger._connection() as connection:
        told = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        mapped = connection.execute("PRAGMA mmap_size").fetchone()
        spend(ledger)
        assert not list(tmp_path.glob("*-wal")) + list(tmp_path.glob("*-shm"))
    assert (told, mapped in ((0,), None)) == (["truncate", 2], True)


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_VERSION)
    connection.close()
    path.chmod(0o644)
    for ledger in (SQLiteLedger(path), SQLiteLedger(path)):
        assert ledger.turn("a") == 4
        assert (ledger.knows("a", "f00d"), ledger.knows("a", "beef")) == (True, False)
        assert ledger.spent("a", 3, LIMIT) == 0.30000002384185791
    assert (mode(path), asked(path, "PRAGMA user_version")) == (0o600, [(2,)])
    assert asked(path, "PRAGMA journal_mode") != [("wal",)]
    assert [spend(ledger, 0.6), spend(ledger, 0.4)] == [True, False]


def test_a_change_of_version_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_VERSION + "CREATE VIEW by_turn AS SELECT 1;")
    connection.close()
    with pytest.raises(LedgerError, match="the ledger cannot be used"):
        SQLiteLedger(path)
    assert asked(path, "SELECT sum(cost) > 0.3 FROM charges") == [(1,)]


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (FIRST_VERSION + "PRAGMA user_version=3;", "of version 3"),
        ("CREATE TABLE customers (name);", "another program's database"),
        ("PRAGMA user_version=2; CREATE TABLE customers (name);", "another program's database"),
    ],
)  # fmt: skip
def test_a_file_of_a_newer_version_or_of_another_program_is_refused(tmp_path: Path, made: str, match: str) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.executescript(made)
    connection.close()
    before = asked(path, "SELECT sql FROM sqlite_schema")
    with pytest.raises(LedgerError, match=match):
        SQLiteLedger(path)
    assert asked(path, "SELECT sql FROM sqlite_schema") == before


# ------------------------------------------------------------------------------------------------------------- damage


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garbled(path: Path) -> None:
    path.write_bytes(b"garbage" * 1_000)


def removed(path: Path) -> None:
    path.unlink()


def replaced_by_a_full_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/full")


def told_nonsense(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE charges SET cost = 'NaN'")
    connection.commit()
    connection.close()


DAMAGES = [emptied, halved, garbled, removed, told_nonsense]
DAMAGES += [replaced_by_a_full_device] if Path("/dev/full").exists() else []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_damaged_under_a_running_process_is_an_error_and_no_fresh_budget(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "ledger.db"
    ledger = SQLiteLedger(path)
    for account in ("a", *map(str, range(60))):
        assert spend(ledger, account=account)
    damage(path)
    for _ in range(2):
        for ask in (lambda: spend(ledger), lambda: ledger.spent("a", 1, LIMIT)):
            with pytest.raises(LedgerError):
                ask()
    assert damage is not removed or not path.exists(), "an empty ledger is not put in its place"


def test_an_answer_over_a_damaged_ledger_fails_and_shows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    model = GuardedChatModel(inner=teller(RUDE), policy=compiled(SHARED), ledger=path)
    assert "blockhead" in model.invoke("x", conversation="c").text
    for damage in (halved, removed):
        damage(path)
        with pytest.raises(GenerationFailed):
            model.invoke("x", conversation="c")


HELD_OPEN = """
import os, sys
from ig_guardrail.errors import LedgerError
from ig_guardrail.ledger import LedgerEntry, Limit, SQLiteLedger
path, limit = sys.argv[1], Limit("x", 1e9)
ledger = SQLiteLedger(path)
for number in range(60):
    ledger.charge([LedgerEntry(str(number), 1, "x", 1.0)], {"x": limit})
with ledger._connection() as connection:
    rows = connection.execute("SELECT * FROM charges")
    rows.fetchone()
    for file in os.listdir(os.path.dirname(path)):
        os.truncate(os.path.join(os.path.dirname(path), file), 0)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM charges")
        print("took", connection.execute("SELECT count(*) FROM charges").fetchone())
    except Exception as error:
        print("error", type(error).__name__)
    rows.close()
try:
    ledger.spent("1", 1, limit)
except LedgerError:
    print("refused")
"""


def test_a_file_cut_to_nothing_while_it_is_read_kills_nobody(tmp_path: Path) -> None:
    path = tmp_path / "l" / "ledger.db"
    path.parent.mkdir()
    done = subprocess.run([sys.executable, "-c", HELD_OPEN, str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["refused"]), done.stderr


# ----------------------------------------------------------------------------------------------------------- pruning


def test_old_rows_are_put_together_as_charges_are_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SQLiteLedger(path)
    for turn in range(1, 30):
        assert ledger.charge([LedgerEntry("a", turn, "x", 0.01)], {"x": LIMIT})
    assert asked(path, "SELECT count(*), max(cost) FROM charges") == [(1, "0.29")]


@pytest.mark.parametrize("limit", [Limit("x", 1e6), Limit("x", 1e6, decay=0.9), Limit("x", 1e6, window=20)])
def test_very_many_rows_of_one_account_shrink_at_the_next_charge(tmp_path: Path, limit: Limit) -> None:
    path = tmp_path / "ledger.db"
    ledger = SQLiteLedger(path)
    assert ledger.charge([LedgerEntry("a", 1, "x", 1.0)], {"x": limit})
    connection = sqlite3.connect(path)
    with connection:
        (name,) = connection.execute("SELECT account FROM charges").fetchone()
        rows = ((name, turn) for turn in range(2, 5_001))
        connection.executemany("INSERT INTO charges VALUES (?, 'x', ?, '1')", rows)
    connection.close()
    expected = sum(
        limit.decay ** (5_001 - turn) for turn in range(5_001 - limit.window + 1 if limit.window else 1, 5_001)
    )
    assert ledger.spent("a", 5_001, limit) == pytest.approx(expected)
    assert ledger.charge([LedgerEntry("a", 5_001, "x", 1.0)], {"x": limit})
    assert ledger.spent("a", 5_001, limit) == pytest.approx(expected + 1)
    assert asked(path, "SELECT count(*) <= 1021 FROM charges") == [(1,)]


def test_silent_accounts_are_forgotten_where_a_host_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    ledger = SQLiteLedger(path)
    for account in ("silent", "lively"):
        assert spend(ledger, account=account)
        ledger.advance(account, 1)
        ledger.remember(account, "f00d")
    now = time.time()
    monkeypatch.setattr("ig_guardrail.ledger.sqlite.time.time", lambda: now + 20 * 86_400)
    ledger.advance("lively", 2)
    assert (ledger.forget(days=30), ledger.forget(days=10)) == (0, 1)
    assert [ledger.spent(account, 1, LIMIT) for account in ("silent", "lively")] == [0.0, 0.4]
    assert [ledger.turn(account) for account in ("silent", "lively")] == [1, 3]
    assert [ledger.knows(account, "f00d") for account in ("silent", "lively")] == [False, True]


# ------------------------------------------------------------------------------------------------------------ receipts


def test_the_receipt_of_an_ended_answer_says_what_the_ledger_says(tmp_path: Path) -> None:
    """With a hold, the gate has charged the last of it, which was never shown nor paid for."""
    ledger = SQLiteLedger(tmp_path / "ledger.db")
    search = SearchSettings(block=4, hold=6, retries=0, shortest=0)
    policy = toy_policy([toy_budget("drip", **{**DRIP, "budget": 3.2, "accumulate": "sum"})], search)
    sayings = guardrail(letters((0, 1, 0)), policy, {"level": LetterCost("level")}, ledger=ledger)
    asked = GenerationRequest(
        (Message("user", "hello"),), Sampling(max_tokens=12, temperature=1.0, top_p=1.0), conversation="c"
    )
    account, limit, told = AccountKey("c").account("toy", "conversation"), Limit("drip", 3.2), []
    for turn in (1, 2):
        *_, last = sayings.stream(asked)
        assert last.receipt is not None
        spent = last.receipt.spend["drip"]["spent"]
        told.append((last.receipt.verdict.outcome, spent))
        assert spent == ledger.spent(account, turn, limit)
    assert told == [("completed", 2.0), ("ended", 2.5)]
