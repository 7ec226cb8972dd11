"""A PostgreSQL server to be thrown away: its own folder, one unix socket, no network. And ledgers in it, for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ig_guardrail.ledger.postgres import PostgresLedger

SCALE = pytest.mark.skipif("IG_TEST_SCALE" not in os.environ, reason="$IG_TEST_SCALE is not set: `make test-scale`")
SETTINGS = ("listen_addresses=", "shared_buffers=32MB", "max_connections=60")
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/pgsql/bin")
ADVICE = "no PostgreSQL server is installed here: `apt-get install postgresql-15`, or its programs on the PATH"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None where there is no server."""
    on_path = shutil.which("initdb")
    found = [folder for place in PLACES for folder in sorted(Path("/").glob(place[1:]), reverse=True)]
    return Path(on_path).parent if on_path else next(iter(found), None)


class ThrowAway:
    """A server that runs until it is stopped. address: of its database, for whoever asks as its owner."""

    def __init__(self, bin: Path, folder: Path, settings: Sequence[str] = ()) -> None:
        self._bin, self.folder, self._settings = bin, folder, (*SETTINGS, *settings)
        self._owner = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        if self._owner:
            shutil.chown(folder, self._owner)
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "-D", "data")
        self.start()

    @property
    def address(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def start(self) -> None:
        options = " ".join([f"-k {self.folder}", *(f"-c {one}" for one in self._settings)])
        self._run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """mode: "fast" ends connections in order, "immediate" as a crash does."""
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", "data")

    def ask(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """What a statement comes to."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            found = connection.execute(statement.encode(), values or None)
            return found.fetchall() if found.description else []

    def emptied(self) -> str:
        """The address, with nothing left of ours."""
        for schema in ("ig_guardrail", "ig_guardrail_audit", "ig_guardrail_responses"):
            self.ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        return self.address

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._bin / program), *arguments]
        ran = subprocess.run(command, cwd=self.folder, user=self._owner, capture_output=True, text=True)
        assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"


@contextmanager
def thrown_away(*settings: str) -> Iterator[ThrowAway]:
    """A server that is gone afterwards; settings: as "fsync=off".

    Raises RuntimeError, with what to install, where there is none.
    """
    bin = programs()
    if bin is None:
        raise RuntimeError(ADVICE)
    folder = Path(tempfile.mkdtemp(prefix="ig-postgres-"))
    server = ThrowAway(bin, folder, settings)
    try:
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[ThrowAway]:
    with thrown_away() as server:
        yield server


@pytest.fixture
def emptied_ledger(postgres: ThrowAway) -> Iterator[Callable[[], PostgresLedger]]:
    """A ledger that is begun anew each time it is asked for."""
    ledger = PostgresLedger(postgres.emptied())

    def emptied() -> PostgresLedger:
        postgres.ask("TRUNCATE ig_guardrail.turns, ig_guardrail.answers, ig_guardrail.charges")
        return ledger

    yield emptied
    ledger.close()
