"""A ledger in one SQLite file, shared by the processes of one host.

Write-ahead log with full synchronisation: a charge that was answered with True survives a kill and a power cut. What is
read and written for one charge happens in one immediate transaction, so no other process can come between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ig_guardrail.errors import LedgerError
from ig_guardrail.ledger.books import Entry, Ledger, Limit, lasts, total

BUSY_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (account TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS answers (account TEXT, sha256 TEXT, PRIMARY KEY (account, sha256)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS charges (
    account TEXT NOT NULL, budget TEXT NOT NULL, turn INTEGER NOT NULL, cost REAL NOT NULL CHECK (cost > 0)
) STRICT;
CREATE INDEX IF NOT EXISTS by_account ON charges (account, budget);
"""


class SQLiteLedger:
    """Charges in a file. A connection of its own for every call, so threads and forks share nothing."""

    def __init__(self, path: str | Path) -> None:
        """Raises LedgerError if the file cannot be used."""
        self.path = Path(path).expanduser()
        with self._connection() as connection:
            connection.executescript(_SCHEMA)

    def turn(self, account: str) -> int:
        with self._connection() as connection:
            row = connection.execute("SELECT last FROM turns WHERE account = ?", (account,)).fetchone()
            return 1 if row is None else int(row[0]) + 1

    def advance(self, account: str, turn: int) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO turns VALUES (?, ?) ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
                (account, turn),
            )

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        with self._connection() as connection:
            return _spent(connection, account, turn, limit)

    def knows(self, account: str, answer: str) -> bool:
        with self._connection() as connection:
            found = connection.execute("SELECT 1 FROM answers WHERE account = ? AND sha256 = ?", (account, answer))
            return found.fetchone() is not None

    def remember(self, account: str, answer: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (account, answer))

    def charge(self, entries: Sequence[Entry], limits: Mapping[str, Limit]) -> bool:
        with self._transaction() as connection:
            if not lasts(entries, limits, lambda entry, limit: _spent(connection, entry.account, entry.turn, limit)):
                return False
            connection.executemany(
                "INSERT INTO charges VALUES (?, ?, ?, ?)",
                [(entry.account, entry.budget, entry.turn, entry.cost) for entry in entries],
            )
            return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            yield connection
        except sqlite3.Error as error:
            raise LedgerError(
                f"the ledger cannot be used: {error}",
                where=str(self.path),
                why="what a conversation has spent must be known before anything of it is shown",
                fix="give the path of a file that this process may write",
            ) from error
        finally:
            if connection is not None:
                connection.close()


def ledger_at(place: str | Path | Ledger | None) -> Ledger | None:
    """A ledger in the file of that path; a ledger, or None, as it is. Raises LedgerError if the file cannot be used."""
    return SQLiteLedger(place) if isinstance(place, str | Path) else place


def _spent(connection: sqlite3.Connection, account: str, turn: int, limit: Limit) -> float:
    found = connection.execute(
        "SELECT turn, cost FROM charges WHERE account = ? AND budget = ?", (account, limit.budget)
    )
    return total(found.fetchall(), turn, limit)
