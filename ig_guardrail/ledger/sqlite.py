"""A ledger in one SQLite file, shared by the processes of one host.

A rollback journal with full synchronisation: a charge that was answered with True survives a kill and a power cut. What
is read and written for one charge happens in one immediate transaction, so no other process can come between. Nothing
of the file is mapped into memory, so one that is cut short under a running process is an error and no crash
(docs/decisions/ledger.md).

Accounts are named by their hash, and only whoever owns the file may read it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path

from ig_guardrail.budget import EXACT, NOTHING
from ig_guardrail.errors import LedgerError
from ig_guardrail.fields.paths import expanded
from ig_guardrail.ledger.rows import account_name, charged, settled_until, total, written_cost
from ig_guardrail.ledger.session import LedgerEntry, Limit

BUSY_S = 10.0
VERSION = 2  # of the schema, as `PRAGMA user_version` has it; 1 was never written down
_DAY_S = 86_400
_TABLES = frozenset({"turns", "answers", "charges"})
_SCHEMA = (
    "CREATE TABLE turns (account TEXT PRIMARY KEY, last INTEGER NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE answers (account TEXT, sha256 TEXT, PRIMARY KEY (account, sha256)) STRICT, WITHOUT ROWID",
    """CREATE TABLE charges (
        account TEXT NOT NULL, budget TEXT NOT NULL, turn INTEGER NOT NULL, cost TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX by_turn ON charges (account, budget, turn)",
)
_FROM_THE_FIRST = (
    "ALTER TABLE turns RENAME TO old_turns",
    "ALTER TABLE answers RENAME TO old_answers",
    "ALTER TABLE charges RENAME TO old_charges",
    *_SCHEMA,
    "INSERT INTO turns SELECT named(account), last, unixepoch() FROM old_turns",
    "INSERT INTO answers SELECT named(account), sha256 FROM old_answers",
    "INSERT INTO charges SELECT named(account), budget, turn, written(cost) FROM old_charges",
    "DROP TABLE old_turns",
    "DROP TABLE old_answers",
    "DROP TABLE old_charges",
)


class SQLiteLedger:
    """Charges in a file. A connection of its own for every call, so threads and forks share nothing."""

    def __init__(self, path: str | Path) -> None:
        """Makes the file, or brings it to the present version.

        Raises LedgerError if it cannot be used, or is another program's.
        """
        self.path = expanded(path)
        with self._errors():
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with self._opened() as connection:
                self._bring_up_to_date(connection)

    def turn(self, account: str) -> int:
        with self._connection() as connection:
            row = connection.execute("SELECT last FROM turns WHERE account = ?", (account_name(account),)).fetchone()
            return 1 if row is None else int(row[0]) + 1

    def advance(self, account: str, turn: int) -> None:
        with self._transaction() as connection:
            _use(connection, account_name(account), turn)

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        with self._connection() as connection:
            return float(total(_rows(connection, account_name(account), turn, limit).items(), turn, limit))

    def knows(self, account: str, answer: str) -> bool:
        with self._connection() as connection:
            found = connection.execute(
                "SELECT 1 FROM answers WHERE account = ? AND sha256 = ?", (account_name(account), answer)
            )
            return found.fetchone() is not None

    def remember(self, account: str, answer: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (account_name(account), answer))

    def charge(self, entries: Sequence[LedgerEntry], limits: Mapping[str, Limit]) -> bool:
        with self._transaction() as connection:
            taken = all(_charge(connection, entry, limits[entry.budget]) for entry in entries)
            if not taken:
                connection.execute("ROLLBACK")
            return taken

    def forget(self, days: float) -> int:
        """Forget the accounts in which nothing was shown or charged for so many days; how many they were.

        Their budgets are whole again, and answers of theirs that come back are charged.
        """
        with self._transaction() as connection:
            return _forget(connection, "WHERE used < ?", int(time.time() - days * _DAY_S))

    def keep(self, accounts: int) -> int:
        """Forget accounts until so many are left; how many they were.

        First those that have spent nothing, and of them, and of the others, those that were silent for longest.
        """
        with self._transaction() as connection:
            (count,) = connection.execute("SELECT count(*) FROM turns").fetchone()
            spenders = "EXISTS (SELECT 1 FROM charges WHERE charges.account = turns.account)"
            return _forget(connection, f"ORDER BY {spenders}, used LIMIT ?", max(0, count - accounts))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection, _immediately(connection):
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file as it was made: one that is gone, or emptied, is not begun again."""
        with self._errors(), self._opened() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise self._unfit("the ledger in its file is gone", "put the file back, or start the program again")
            yield connection

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", BUSY_S, isolation_level=None, uri=True)
        try:
            connection.execute("PRAGMA mmap_size=0")
            connection.execute("PRAGMA journal_mode=TRUNCATE")
            connection.execute("PRAGMA synchronous=FULL")
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Whatever SQLite or the file system raises, as LedgerError."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, ArithmeticError) as error:
            raise self._unfit(
                f"the ledger cannot be used: {error}", "give the path of a file that this process may write"
            ) from error

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        if self._is_up_to_date(connection):
            return
        with _immediately(connection):
            if self._is_up_to_date(connection):  # another process came first
                return
            of_the_first = bool(_tables(connection))
            connection.create_function("named", 1, account_name, deterministic=True)
            connection.create_function("written", 1, repr, deterministic=True)  # SQLite writes 15 digits
            for statement in _FROM_THE_FIRST if of_the_first else _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
        if of_the_first:
            self.path.chmod(0o600)

    def _is_up_to_date(self, connection: sqlite3.Connection) -> bool:
        """Whether it is of the present version; not where it is empty, or of the first one. Raises LedgerError else."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = _tables(connection)
        if version > VERSION and tables >= _TABLES:
            raise self._unfit(f"the ledger is of version {version}", "use the release that wrote it, or a newer one")
        if version == VERSION and tables >= _TABLES:
            return True
        if version != 0 or (tables and tables != _TABLES):
            raise self._unfit("the file is another program's database", "give the path of a file of its own")
        return False

    def _unfit(self, what: str, fix: str) -> LedgerError:
        why = "what a conversation has spent must be known before anything of it is shown"
        return LedgerError(what, where=str(self.path), why=why, fix=fix)


@contextmanager
def _immediately(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that no other comes between; it may have been rolled back within."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if connection.in_transaction:
        connection.execute("COMMIT")


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def _charge(connection: sqlite3.Connection, entry: LedgerEntry, limit: Limit) -> bool:
    name = account_name(entry.account)
    rows = _rows(connection, name, entry.turn, limit)
    kept = charged(rows, entry, limit)
    if kept is None:
        return False
    until = settled_until(max(kept), limit)
    rewritten = "account = ? AND budget = ? AND (turn <= ? OR turn = ?)"
    connection.execute(f"DELETE FROM charges WHERE {rewritten}", (name, entry.budget, until, entry.turn))
    connection.executemany(
        "INSERT INTO charges VALUES (?, ?, ?, ?)",
        [(name, entry.budget, turn, str(kept[turn])) for turn in kept if turn <= until or turn == entry.turn],
    )
    _use(connection, name, 0)
    return True


def _rows(connection: sqlite3.Connection, name: str, turn: int, limit: Limit) -> dict[int, Decimal]:
    """Cost by turn, as far as it still counts in a turn."""
    earliest = turn - limit.window if limit.window else -1
    found = connection.execute(
        "SELECT turn, cost FROM charges WHERE account = ? AND budget = ? AND turn > ?", (name, limit.budget, earliest)
    )
    rows: dict[int, Decimal] = {}
    for own, cost in found:
        rows[own] = EXACT.add(rows.get(own, NOTHING), written_cost(cost))
    return rows


def _forget(connection: sqlite3.Connection, which: str, value: int) -> int:
    names = connection.execute(f"SELECT account FROM turns {which}", (value,)).fetchall()
    for table in ("answers", "charges", "turns"):
        connection.executemany(f"DELETE FROM {table} WHERE account = ?", names)
    return len(names)


def _use(connection: sqlite3.Connection, name: str, turn: int) -> None:
    """Note that an account was used now, and, if it is not 0, in which turn something was shown."""
    connection.execute(
        "INSERT INTO turns VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET last = max(last, excluded.last), used = excluded.used",
        (name, turn, int(time.time())),
    )
