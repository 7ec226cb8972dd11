"""A PostgreSQL database that the threads of a process share: its name without secrets, its connections, what is tried
again, and whatever it raises as one typed error.

A call that met a broken connection, a restart or a deadlock is tried again, for `PATIENCE_S` at most. So what is called
must come to the same when it is called twice, even where the first time was finished and nobody heard of it.
"""

from __future__ import annotations

import re
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout

from ig_guardrail.errors import GuardrailError, brief
from ig_guardrail.threads.locks import ForkSafeLock, Home

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
_T = TypeVar("_T")

PATIENCE_S = 10.0
CONNECTIONS = 4  # of a process for one purpose; a guardrail's charges come one after the other
_TURN_S = 2.0  # after which a connection is asked for again, so that one is opened again
_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)  # before a call is tried again
_PARAMETERS: Final[Mapping[str, object]] = {  # unless the address says otherwise
    "application_name": "ig-guardrail",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
}
_SESSION = (  # the first two are what a charge rests on; and whoever is cut off from us holds no lock for long
    "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed';"
    " SET lock_timeout = '10s'; SET statement_timeout = '20s'; SET idle_in_transaction_session_timeout = '10s'"
)
_PASSING = ("08", "57P01", "57P02", "57P03", "40001", "40P01", "25P03", "25006")  # how such states begin


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a database is used for.

    setting  names what is kept there, as settings do: "ledger"
    schema   that holds the tables
    why      it must be had
    failure  what is raised where it cannot be
    """

    setting: str
    schema: str
    why: str
    failure: type[GuardrailError]


class Database:
    """Connections to one database, for one purpose. Safe to share between threads; a forked process opens its own.

    name: the address, without password and options
    """

    def __init__(self, address: str, purpose: Purpose, connections: int = CONNECTIONS) -> None:
        """Opens nothing yet. Raises the purpose's error for what is no address."""
        self.purpose = purpose
        self._parameters = _read(address, purpose)
        self.name = _shown(self._parameters)
        self._connections = connections
        self._lost = False  # whether the database was down when it was last asked
        self._turn = ForkSafeLock()
        self._pools: list[tuple[Home, ConnectionPool[Connection]]] = []  # the last is this process's

    def first(self, work: Callable[[Connection], _T]) -> _T:
        """What comes of a call that is made once, so that the error tells why. Raises the purpose's error."""
        try:
            with psycopg.connect(**self._parameters, autocommit=True) as connection:
                _begin(connection)
                return work(connection)
        except (psycopg.Error, OSError, ValueError, ArithmeticError) as error:
            raise self.unfit(_told(error)) from error

    def call(self, work: Callable[[Connection], _T]) -> _T:
        """What comes of a call, which is made again where its connection broke. Raises the purpose's error.

        While the database is down, the first call waits for it, and those behind it only a little.
        """
        until = time.monotonic() + (min(_TURN_S, PATIENCE_S) if self._lost else PATIENCE_S)
        tries = 0
        while True:
            left = until - time.monotonic()
            try:
                with self._pool().connection(max(0.01, min(_TURN_S, left))) as connection:
                    done = _worked(work, connection)
                    self._lost = False
                    return done
            except PoolTimeout as error:
                if left <= _TURN_S:
                    self._lost = True
                    most = f"none of {self._connections} connections was to be had"
                    raise self.unfit(f"{most}: the database is down, or they are all busy") from error
            except (psycopg.Error, OSError, ValueError, ArithmeticError) as error:
                pause = _PAUSES_S[min(tries, len(_PAUSES_S) - 1)]
                if not _passes(error) or pause >= left:
                    self._lost = _passes(error)
                    raise self.unfit(_told(error)) from error
                tries += 1
                time.sleep(pause)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment, of a standby too, for as long as is read. Raises the purpose's error."""
        parameters = {**self._parameters, "target_session_attrs": "any"}
        try:
            with psycopg.connect(**parameters) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                yield connection
        except (psycopg.Error, OSError) as error:
            raise self.unfit(_told(error)) from error

    def unfit(self, what: str, fix: str = "") -> GuardrailError:
        """The error that a database cannot be used."""
        own = self.purpose
        fix = fix or f"see that PostgreSQL runs there, and that this user may write in the schema `{own.schema}`"
        return own.failure(f"the {own.setting} cannot be used: {what}", where=self.name, why=own.why, fix=fix)

    def close(self) -> None:
        """Close what this process has open; it is opened again where it is used again."""
        with self._turn:
            for home, pool in self._pools:
                _close(home, pool)
            self._pools = [one for one in self._pools if one[0].left]

    def _pool(self) -> ConnectionPool[Connection]:
        with self._turn:
            if not self._pools or self._pools[-1][0].left:  # those of the process before stay as they are, never closed
                home, pool = Home(), self._opened()
                self._pools.append((home, pool))
                weakref.finalize(self, _close, home, pool)
            return self._pools[-1][1]

    def _opened(self) -> ConnectionPool[Connection]:
        return ConnectionPool(
            connection_class=psycopg.Connection[tuple[Any, ...]],
            kwargs={**self._parameters, "autocommit": True},
            min_size=0,
            max_size=self._connections,
            open=True,
            configure=_begin,
            reconnect_timeout=_TURN_S / 2,
            num_workers=1,
        )


def _close(home: Home, pool: ConnectionPool[Connection]) -> None:
    if not home.left:
        pool.close()


def _begin(connection: Connection) -> None:
    """What holds for a connection as long as it lives."""
    connection.execute(_SESSION)


def _worked(work: Callable[[Connection], _T], connection: Connection) -> _T:
    """What comes of a call. A connection over which it may come to something else is not used again."""
    try:
        return work(connection)
    except psycopg.Error as error:
        if _passes(error):
            connection.close()
        raise


def _passes(error: Exception) -> bool:
    """Whether an error may be over when a call is made again."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # not the server's word: the connection is broken
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_PASSING)


def _told(error: Exception) -> str:
    """What an error says, in one line; the server's details, which quote what is written, are left out."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return brief(primary or error)


def _read(address: str, purpose: Purpose) -> dict[str, Any]:
    """What an address says. Nothing of one that is cut in the wrong place is told: it may be of the password."""
    try:
        found: dict[str, Any] = {**_PARAMETERS, **conninfo_to_dict(address)}
    except psycopg.Error:
        raise _no_address(purpose) from None
    ports = str(found.get("port", "5432"))
    if not re.fullmatch("[0-9,]*", ports) or any("@" in str(found.get(name, "")) for name in ("host", "dbname")):
        raise _no_address(purpose)
    return found


def _no_address(purpose: Purpose) -> GuardrailError:
    return purpose.failure(
        f"the address of the {purpose.setting} cannot be read",
        where=purpose.setting,
        why="it is postgresql://USER@HOST/DATABASE, and its options are those of PostgreSQL's connection strings",
        fix="write '@', ':', '/' and '%' within a part as %40, %3A, %2F and %25; keep the password in PGPASSFILE",
    )


def _shown(parameters: Mapping[str, Any]) -> str:
    host, port = str(parameters.get("host", "")), str(parameters.get("port", ""))
    user = f"{parameters['user']}@" if "user" in parameters else ""
    base, socket = ("", f"?host={host}") if host.startswith("/") else (host, "")
    return f"postgresql://{user}{base}{f':{port}' if port.isdigit() else ''}/{parameters.get('dbname', '')}{socket}"
