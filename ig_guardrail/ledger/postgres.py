"""A ledger in PostgreSQL, shared by the processes of many hosts.

A charge is one transaction, however many budgets it is made under, and under limits that forget nothing one round trip:
the function `ig_guardrail.charge` locks the accounts, in order, adds up, and writes. Where a limit forgets, there are
two: the accounts are locked and read; what they come to is decided here, as in every other ledger; it is written.
`synchronous_commit` is on: a charge that was answered with True survives a kill and a power cut of the database.

A charge has a key, which is written with it. Where a connection breaks and nobody knows whether the charge was
committed, it is made again under its key, and finds itself. The locks make it wait for the end of the first.

Accounts are named by their hash.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import psycopg

from ig_guardrail.budget import exact
from ig_guardrail.database.connections import CONNECTIONS, Connection, Database, Purpose
from ig_guardrail.database.migrations import migrate
from ig_guardrail.errors import LedgerError
from ig_guardrail.ledger.rows import account_name, charged, settled_until, total, written_cost
from ig_guardrail.ledger.session import LedgerEntry, Limit

PURPOSE = Purpose(
    "ledger",
    "ig_guardrail",
    "what a conversation has spent must be known before anything of it is shown",
    LedgerError,
)
_ADD_UP = """CREATE FUNCTION ig_guardrail.charge(
    charge_key uuid, locks bigint[], names text[], budgets text[], turns bigint[], costs text[], grants float8[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE fits boolean; sums text[];
BEGIN
    PERFORM pg_advisory_xact_lock(one) FROM unnest(locks) AS one;  -- the statements below see what others wrote before
    IF EXISTS (SELECT FROM ig_guardrail.charge_keys WHERE key = charge_key) THEN
        RETURN true;
    END IF;
    SELECT bool_and(cost::float8 <= granted), array_agg(name), array_agg(budget), array_agg(turn), array_agg(cost::text)
        INTO fits, names, budgets, turns, sums
    FROM (
        SELECT name, owed.budget, granted, greatest(owed.turn, max(old.turn)) AS turn,
            owed.cost + coalesce(sum(old.cost::numeric), 0) AS cost
        FROM (
            SELECT name, budget, granted, max(turn) AS turn, sum(cost::numeric) AS cost
            FROM unnest(names, budgets, turns, costs, grants) AS entry (name, budget, turn, cost, granted)
            GROUP BY name, budget, granted
        ) AS owed
        LEFT JOIN ig_guardrail.charges AS old ON old.account = name AND old.budget = owed.budget
        GROUP BY name, owed.budget, granted, owed.turn, owed.cost
    ) AS page;
    IF NOT fits THEN
        RETURN false;
    END IF;
    DELETE FROM ig_guardrail.charges AS old USING unnest(names, budgets, turns) AS page (name, budget, turn)
        WHERE old.account = name AND old.budget = page.budget AND old.turn <> page.turn;
    INSERT INTO ig_guardrail.charges SELECT * FROM unnest(names, budgets, turns, sums)
        ON CONFLICT (account, budget, turn) DO UPDATE SET cost = excluded.cost;
    INSERT INTO ig_guardrail.turns AS old SELECT DISTINCT name, 0, now() FROM unnest(names) AS name
        ON CONFLICT (account) DO UPDATE SET used = now() WHERE old.used < now() - interval '1 hour';
    INSERT INTO ig_guardrail.charge_keys VALUES (charge_key);
    RETURN true;
END $$"""
MIGRATIONS: Sequence[Sequence[str]] = (  # from version 0 to 1, and so on
    (
        "CREATE TABLE ig_guardrail.turns (account text PRIMARY KEY, last bigint NOT NULL, used timestamptz NOT NULL)",
        "CREATE INDEX turns_used ON ig_guardrail.turns (used)",
        "CREATE TABLE ig_guardrail.answers (account text, sha256 text, PRIMARY KEY (account, sha256))",
        "CREATE TABLE ig_guardrail.charges (account text, budget text, turn bigint,"
        " cost text NOT NULL CHECK (cost ~ '^[0-9]'), PRIMARY KEY (account, budget, turn))",
        "CREATE TABLE ig_guardrail.charge_keys (key uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
        "CREATE INDEX charge_keys_at ON ig_guardrail.charge_keys (at)",
        _ADD_UP,
    ),
)
_LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key"
_CHARGE = "SELECT ig_guardrail.charge(%s, %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::float8[])"
_PAGES = (
    "SELECT account, budget, turn, cost FROM ig_guardrail.charges"
    " JOIN unnest(%s::text[], %s::text[], %s::bigint[]) AS page (account, budget, earliest) USING (account, budget)"
    " WHERE turn > earliest"
)
_BEFORE = " UNION ALL SELECT NULL, NULL, NULL, NULL FROM ig_guardrail.charge_keys WHERE key = %s"
_WRITE = """WITH
    key AS (INSERT INTO ig_guardrail.charge_keys VALUES (%s)),
    settled AS (
        DELETE FROM ig_guardrail.charges AS old USING unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])
        AS page (account, budget, until, kept)
        WHERE old.account = page.account AND old.budget = page.budget AND turn <= until AND turn <> kept),
    used AS (  -- to the hour, so that a charge seldom writes it
        INSERT INTO ig_guardrail.turns AS old SELECT account, 0, now() FROM unnest(%s::text[]) AS account
        ON CONFLICT (account) DO UPDATE SET used = now() WHERE old.used < now() - interval '1 hour')
    INSERT INTO ig_guardrail.charges SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[])
    ON CONFLICT (account, budget, turn) DO UPDATE SET cost = excluded.cost"""
_KEYS_LIVE_S = 600  # far longer than a charge is tried again
_KEYS_SWEPT_S = 60
_DAY_S = 86_400
_AT_ONCE = 500  # accounts that are forgotten in one transaction
_Page: TypeAlias = tuple[str, str]  # an account's name, and a budget


class PostgresLedger:
    """Charges in a database. Safe to share between threads and forks; pickled, it is opened again by its address."""

    def __init__(self, address: str, connections: int = CONNECTIONS) -> None:
        """Makes the tables, in the schema `ig_guardrail`, or brings them to the present version.

        address      postgresql://USER@HOST/DATABASE, as PostgreSQL's own programs take it
        connections  most that this process opens
        Raises LedgerError if it cannot be used, or is of a newer version.
        """
        self._made_of = (address, connections)
        self._database = Database(address, PURPOSE, connections)
        self._swept = -math.inf
        migrate(self._database, MIGRATIONS)

    def __repr__(self) -> str:
        return f"PostgresLedger({self._database.name!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> PostgresLedger:
        return self

    def __reduce__(self) -> tuple[Callable[..., PostgresLedger], tuple[str, int]]:
        return PostgresLedger, self._made_of

    def turn(self, account: str) -> int:
        found = self._ask("SELECT last FROM ig_guardrail.turns WHERE account = %s", account_name(account))
        return int(found[0][0]) + 1 if found else 1

    def advance(self, account: str, turn: int) -> None:
        self._tell(
            "INSERT INTO ig_guardrail.turns AS old VALUES (%s, %s, now()) ON CONFLICT (account)"
            " DO UPDATE SET last = greatest(old.last, excluded.last), used = now()",
            *(account_name(account), turn),
        )

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        page = account_name(account), limit.budget
        values = _asked({page: _earliest(turn, limit)})
        rows = self._database.call(lambda connection: _rows(connection.execute(_PAGES, values).fetchall()))
        return float(total(rows.get(page, {}).items(), turn, limit))

    def knows(self, account: str, answer: str) -> bool:
        asked = "SELECT 1 FROM ig_guardrail.answers WHERE account = %s AND sha256 = %s"
        return bool(self._ask(asked, account_name(account), answer))

    def remember(self, account: str, answer: str) -> None:
        self._tell(
            "INSERT INTO ig_guardrail.answers VALUES (%s, %s) ON CONFLICT DO NOTHING", account_name(account), answer
        )

    def charge(self, entries: Sequence[LedgerEntry], limits: Mapping[str, Limit]) -> bool:
        self._sweep_keys()
        key = uuid4()
        return self._database.call(lambda connection: _charge(connection, key, entries, limits))

    def forget(self, days: float) -> int:
        """Forget the accounts in which nothing was shown or charged for so many days; how many they were.

        Their budgets are whole again, and answers of theirs that come back are charged. Days count to the hour.
        """
        return self._forget_all("used < now() - make_interval(secs => %s)", days * _DAY_S)

    def keep(self, accounts: int) -> int:
        """Forget accounts until so many are left; how many they were.

        First those that have spent nothing, and of them, and of the others, those that were silent for longest.
        """
        (count,) = self._ask("SELECT count(*) FROM ig_guardrail.turns")[0]
        return self._forget_all("true", most=max(0, count - accounts))

    def close(self) -> None:
        """Close the connections; they are opened again where the ledger is used again."""
        self._database.close()

    def _ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._database.call(lambda connection: connection.execute(statement, values).fetchall())

    def _tell(self, statement: str, *values: object) -> None:
        self._database.call(lambda connection: connection.execute(statement, values))

    def _sweep_keys(self) -> None:
        """Delete the keys of charges that nobody makes again, now and then."""
        if time.monotonic() > self._swept + _KEYS_SWEPT_S:
            self._swept = time.monotonic()
            self._tell(
                "DELETE FROM ig_guardrail.charge_keys WHERE key IN (SELECT key FROM ig_guardrail.charge_keys"
                " WHERE at < now() - make_interval(secs => %s) FOR UPDATE SKIP LOCKED)",
                _KEYS_LIVE_S,
            )

    def _forget_all(self, which: str, *values: object, most: float = math.inf) -> int:
        """Forget accounts of which that holds, so many at most, a part of them in each transaction."""
        gone = 0
        while gone < most:
            batch = int(min(_AT_ONCE, most - gone))
            found = self._database.call(lambda connection: _forget(connection, which, values, batch))  # noqa: B023
            gone += found
            if found < batch:
                break
        return gone


def _charge(connection: Connection, key: UUID, entries: Sequence[LedgerEntry], limits: Mapping[str, Limit]) -> bool:
    """Whether a charge is written, now or when it was made before under its key."""
    named = [((account_name(entry.account), entry.budget), entry) for entry in entries]
    if not any(limits[entry.budget].forgets for entry in entries):
        values = [(*p, e.turn, str(exact(e.cost)), float(limits[e.budget].granted)) for p, e in named]
        found = connection.execute(_CHARGE, (key, _locks(name for (name, _), _ in named), *_columns(values, 5)))
        return bool((found.fetchone() or (False,))[0])
    return _charge_forgetting(connection, key, named, limits)


def _charge_forgetting(
    connection: Connection, key: UUID, named: Sequence[tuple[_Page, LedgerEntry]], limits: Mapping[str, Limit]
) -> bool:
    """The same where limits forget."""
    with connection.pipeline(), connection.transaction() as transaction:
        connection.execute(_LOCK, (_locks(name for (name, _), _ in named),))
        pages: dict[_Page, int] = {}
        for page, entry in named:
            earliest = _earliest(entry.turn, limits[entry.budget])
            pages[page] = min(earliest, pages.get(page, earliest))
        found = connection.execute(_PAGES + _BEFORE, (*_asked(pages), key)).fetchall()
        taken = any(name is None for name, *_ in found)
        if not taken:
            rows = _rows(found)
            kept = _charged(rows, named, limits)
            if kept is None:
                raise psycopg.Rollback(transaction)
            _write(connection, key, rows, kept, limits)
            taken = True
    return taken


def _charged(
    rows: Mapping[_Page, Mapping[int, Decimal]],
    named: Iterable[tuple[_Page, LedgerEntry]],
    limits: Mapping[str, Limit],
) -> dict[_Page, Mapping[int, Decimal]] | None:
    """The pages of entries, with all of them charged; None if one of them overdraws its limit."""
    kept = dict(rows)
    for page, entry in named:
        more = charged(kept.get(page, {}), entry, limits[entry.budget])
        if more is None:
            return None
        kept[page] = more
    return kept


def _write(
    connection: Connection,
    key: UUID,
    rows: Mapping[_Page, Mapping[int, Decimal]],
    kept: Mapping[_Page, Mapping[int, Decimal]],
    limits: Mapping[str, Limit],
) -> None:
    """Write what is kept of pages in place of their rows, as far as it is not there."""
    settled, new = [], []
    for (name, budget), page in kept.items():
        until, there = settled_until(max(page), limits[budget]), rows.get((name, budget), {})
        settled.append((name, budget, until, max((turn for turn in page if turn <= until), default=-1)))
        new += [(name, budget, turn, str(cost)) for turn, cost in page.items() if there.get(turn) != cost]
    names = sorted({name for name, _ in kept})
    connection.execute(_WRITE, (key, *_columns(settled, 4), names, *_columns(new, 4)))


def _forget(connection: Connection, which: str, values: Sequence[object], most: int) -> int:
    """Forget so many accounts at most; how many they were. What is charged meanwhile is charged before, or after."""
    ordered = f"""SELECT account FROM ig_guardrail.turns WHERE {which} ORDER BY EXISTS (
        SELECT FROM ig_guardrail.charges WHERE charges.account = turns.account), used LIMIT %s"""
    names = [name for (name,) in connection.execute(ordered, (*values, most)).fetchall()]
    with connection.transaction():
        connection.execute(_LOCK, (_locks(names),))
        still = f"SELECT account FROM ig_guardrail.turns WHERE account = ANY(%s) AND {which} FOR UPDATE"
        gone = [name for (name,) in connection.execute(still, (names, *values)).fetchall()]
        for table in ("answers", "charges", "turns"):
            connection.execute(f"DELETE FROM ig_guardrail.{table} WHERE account = ANY(%s)", (gone,))
    return len(gone)


def _asked(pages: Mapping[_Page, int]) -> tuple[list[object], ...]:
    """Pages as `_PAGES` takes them: of each, the turn behind which costs still count."""
    return _columns([(*page, earliest) for page, earliest in pages.items()], 3)


def _rows(found: Iterable[tuple[Any, ...]]) -> dict[_Page, dict[int, Decimal]]:
    """By page, cost by turn."""
    rows: dict[_Page, dict[int, Decimal]] = {}
    for name, budget, turn, cost in found:
        rows.setdefault((name, budget), {})[turn] = written_cost(cost)
    return rows


def _earliest(turn: int, limit: Limit) -> int:
    return turn - limit.window if limit.window else -1


def _columns(rows: Sequence[tuple[object, ...]], count: int) -> tuple[list[object], ...]:
    """Rows as columns, each of them one value of a statement."""
    return tuple([row[i] for row in rows] for i in range(count))


def _locks(names: Iterable[str]) -> list[int]:
    """What stands for accounts among advisory locks, in the order in which everyone takes them."""
    return sorted({int(name[:16], 16) - 2**63 for name in names})
