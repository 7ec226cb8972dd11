"""A chain in PostgreSQL, which processes of many hosts go on with: in the schema `ig_guardrail_audit`.

Whoever writes a line holds the row of the head, in a transaction that writes the line behind it and the new head. So
lines have one order, each was hashed behind the one before, and none is there in part. `synchronous_commit` is on: a
line that was written survives a kill and a power cut of the database.

A line has a key of its own. Where a connection breaks and nobody knows whether it was written, it is looked for among
the lines since then, before it is written again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256 as digest_of
from typing import Any
from uuid import UUID, uuid4

from ig_guardrail.audit.chain import DROPPED, AuditKey, Head, other_key, read_line, write_line
from ig_guardrail.audit.kept import LogReading, RawLine
from ig_guardrail.database import demand_postgres
from ig_guardrail.database.connections import Connection, Database, Purpose
from ig_guardrail.database.migrations import Migrations, migrate, version_of
from ig_guardrail.errors import AuditError, RequestError
from ig_guardrail.settings import AuditFile

LOG = logging.getLogger(__name__)
PURPOSE = Purpose(
    "audit log",
    "ig_guardrail_audit",
    "an answer that nobody can check later is not delivered",
    AuditError,
)
MIGRATIONS: Migrations = (
    (
        "CREATE TABLE ig_guardrail_audit.lines"
        " (n bigint PRIMARY KEY, at timestamptz NOT NULL, key uuid NOT NULL, line text NOT NULL)",
        "CREATE INDEX lines_at ON ig_guardrail_audit.lines (at)",
        "CREATE TABLE ig_guardrail_audit.head"
        " (one boolean PRIMARY KEY DEFAULT true CHECK (one), n bigint NOT NULL, hash text NOT NULL, sealed text)",
        "INSERT INTO ig_guardrail_audit.head VALUES (true, 0, repeat('0', 64), NULL)",
        "CREATE TABLE ig_guardrail_audit.policies (sha256 text PRIMARY KEY, normal_form text NOT NULL)",
    ),
)
CONNECTIONS = 2  # of a process: lines are written one after the other, and somebody may look whether they can be
MOST_DROPPED = 5_000  # lines in one transaction
_AT_ONCE = 200  # lines that are read together
_HEAD = "SELECT n, hash, sealed FROM ig_guardrail_audit.head"
_INSERT = "INSERT INTO ig_guardrail_audit.lines VALUES (%s, %s, %s, %s)"
_MOVE = "UPDATE ig_guardrail_audit.head SET n = %s, hash = %s, sealed = %s"


class DatabaseChain:
    """The lines of one log. Safe to share between threads."""

    def __init__(self, file: AuditFile, key: AuditKey | None) -> None:
        """Makes the tables, or brings them to the present version. Raises AuditError, MissingExtra."""
        self._database = _database(str(file.path))
        self._days, self._key = file.keep_days, key
        self._pruned: str | None = None  # the day on which this process last looked for lines that are over
        migrate(self._database, MIGRATIONS)

    @property
    def place(self) -> str:
        return self._database.name

    def check(self) -> None:
        asked = f"{_HEAD} WHERE has_table_privilege('ig_guardrail_audit.lines', 'INSERT')"
        found = self._database.call(lambda connection: connection.execute(asked).fetchall())
        if len(found) != 1:
            raise self._database.unfit("it has no head, or this user may write no line")
        self._own(*found[0])

    def append(self, entry: Mapping[str, Any], now: datetime) -> Head:
        writing = _Writing(self, {"at": now.isoformat(timespec="seconds"), **entry}, now)
        head = self._database.call(writing)
        self._prune_daily(now)
        return head

    def prune(self, now: datetime) -> int:
        gone = 0
        while (more := self._drop(now)) > 0:
            gone += more
        return gone

    def _prune_daily(self, now: datetime) -> None:
        """Once a day, delete a part of what is over. The answer has its line, so what fails here is told, and waits."""
        day = now.astimezone(UTC).date().isoformat()
        if self._days is None or self._pruned == day:
            return
        try:
            if self._drop(now) < MOST_DROPPED:
                self._pruned = day
        except AuditError as error:
            LOG.error("audit log %s: old lines were not deleted: %s", self.place, error.what)

    def keep_policy(self, sha256: str, normal_form: str) -> None:
        kept = "INSERT INTO ig_guardrail_audit.policies VALUES (%s, %s) ON CONFLICT DO NOTHING"
        self._database.call(lambda connection: connection.execute(kept, (sha256, normal_form)))

    def _own(self, n: int, digest: str, sealed: str | None) -> Head:
        """The head as it stands. Raises AuditError for that of a chain under another key."""
        if n > 0 and sealed != self._sealed:
            raise other_key(self.place)
        return Head(n, digest)

    @property
    def _sealed(self) -> str | None:
        return None if self._key is None else self._key.id

    def _drop(self, now: datetime) -> int:
        """Delete lines that are over, so many at most, behind a line that says which; how many they were."""
        if self._days is None:
            return 0
        first = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=self._days)

        def work(connection: Connection) -> int:
            with connection.transaction():
                head = self.held(connection)
                last = _last_over(connection, first)
                if last is None:
                    return 0
                entry = {"kind": DROPPED, "at": now.isoformat(timespec="seconds"), "last": last.n}
                self.write({**entry, "last_hash": last.hash}, head, now, uuid4(), connection)
                gone = connection.execute("DELETE FROM ig_guardrail_audit.lines WHERE n <= %s", (last.n,))
                return gone.rowcount

        return self._database.call(work)

    def held(self, connection: Connection) -> Head:
        """Where the chain stands; nobody else goes on with it before the transaction has ended."""
        found = connection.execute(f"{_HEAD} FOR UPDATE").fetchall()
        if len(found) != 1:
            raise self._database.unfit("it has no head")
        return self._own(*found[0])

    def write(self, entry: Mapping[str, Any], head: Head, now: datetime, key: UUID, connection: Connection) -> Head:
        """A line behind a head that is held, and where the chain stands then."""
        line, after = write_line(entry, head, self._key)
        connection.execute(_INSERT, (after.n, now, key, line))
        connection.execute(_MOVE, (after.n, after.hash, self._sealed))
        return after


class _Writing:
    """A line that is written once, however often it is tried."""

    def __init__(self, chain: DatabaseChain, entry: Mapping[str, Any], now: datetime) -> None:
        self._chain, self._entry, self._now = chain, entry, now
        self._key = uuid4()
        self._since: int | None = None  # the number of the last line when it was first tried

    def __call__(self, connection: Connection) -> Head:
        with connection.pipeline(), connection.transaction():
            head = self._chain.held(connection)
            if self._since is None:
                self._since = head.n
            elif (before := self._before(connection)) is not None:
                return before
            return self._chain.write(self._entry, head, self._now, self._key, connection)

    def _before(self, connection: Connection) -> Head | None:
        """Where the chain stood behind the line, if it was written and nobody heard of it."""
        asked = "SELECT line FROM ig_guardrail_audit.lines WHERE n > %s AND key = %s"
        found = connection.execute(asked, (self._since, self._key)).fetchone()
        return None if found is None else read_line(found[0].encode()).head


class DatabaseLog:
    """A log in a database, read. A standby will do."""

    def __init__(self, address: str) -> None:
        """Raises RequestError where there is none, AuditError where it cannot be read, MissingExtra."""
        self._database = _database(address)
        self.name = self._database.name
        with self._database.reading() as connection:
            if version_of(connection, self._database, len(MIGRATIONS)) is None:
                raise RequestError("there is no such log", where=self.name, fix="name the database `audit` was given")

    @contextmanager
    def reading(self) -> Iterator[LogReading]:
        with self._database.reading() as connection:
            found = connection.execute(_HEAD).fetchone()
            anchor = None if found is None else (f"head in {self.name}", Head(found[0], found[1]))
            yield LogReading(anchor, [(self.name, self._lines(connection))])

    def policy(self, sha256: str) -> str | None:
        asked = "SELECT normal_form FROM ig_guardrail_audit.policies WHERE sha256 = %s"
        with self._database.reading() as connection:
            found = connection.execute(asked, (sha256,)).fetchone()
        return found[0] if found and digest_of(found[0].encode()).hexdigest() == sha256 else None

    def _lines(self, connection: Connection) -> Iterator[RawLine]:
        with connection.cursor(name="lines") as cursor:
            cursor.itersize = _AT_ONCE
            for n, line in cursor.execute("SELECT n, line FROM ig_guardrail_audit.lines ORDER BY n"):
                yield RawLine(f"{self.name} line {n}", line.encode())


def _database(address: str) -> Database:
    demand_postgres(address, AuditError, "audit", "an audit log")
    return Database(address, PURPOSE, CONNECTIONS)


def _last_over(connection: Connection, first: datetime) -> Head | None:
    """The last of the lines, from the first on, that are older than a time, of so many at most; None if none is."""
    asked = (
        "SELECT max(n) FROM (SELECT n FROM ig_guardrail_audit.lines WHERE n < coalesce("
        "(SELECT min(n) FROM ig_guardrail_audit.lines WHERE at >= %s), 9223372036854775807)"
        " ORDER BY n LIMIT %s) AS over"
    )
    found = connection.execute(asked, (first, MOST_DROPPED)).fetchone()
    if found is None or found[0] is None:
        return None
    line = connection.execute("SELECT line FROM ig_guardrail_audit.lines WHERE n = %s", (found[0],)).fetchone()
    return None if line is None else read_line(line[0].encode()).head
