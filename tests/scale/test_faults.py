"""What becomes of charges when PostgreSQL, or the way to it, fails: one typed error or one charge, never two."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ig_guardrail.errors import LedgerError
from ig_guardrail.ledger import LedgerEntry, Limit
from ig_guardrail.ledger import postgres as postgres_ledger
from ig_guardrail.ledger.postgres import PostgresLedger
from tests.scale.cutting import CuttingWay
from tests.scale.postgres import SCALE, ThrowAway
from tests.unit.server.asgi import app_of, ask, bearer, chat, key_in, server_over, toy_rail

pytestmark = SCALE
LIMIT = Limit("x", 1e9)
FADING = Limit("y", 1e9, window=5)
SECRET = "pA55-w0rd"


def spend(ledger: PostgresLedger, account: str = "a", limit: Limit = LIMIT) -> bool:
    return ledger.charge([LedgerEntry(account, 1, limit.budget, 1.0)], {limit.budget: limit})


@pytest.fixture
def ledger(emptied_ledger: Callable[[], PostgresLedger]) -> PostgresLedger:
    return emptied_ledger()


@contextmanager
def spending(ledger: PostgresLedger, times: int, limits: tuple[Limit, ...] = (LIMIT, FADING)) -> Iterator[list[object]]:
    """What charges of four threads come to, once the block is left."""
    came: list[object] = []

    def work(limit: Limit) -> None:
        for _ in range(times):
            try:
                came.append(spend(ledger, limit=limit))
            except Exception as error:
                came.append(error)

    threads = [threading.Thread(target=work, args=(limits[one % len(limits)],)) for one in range(4)]
    for thread in threads:
        thread.start()
    yield came
    for thread in threads:
        thread.join()


def assert_each_once(ledger: PostgresLedger, came: list[object], times: int) -> None:
    assert came == [True] * 4 * times
    assert [ledger.spent("a", 1, limit) for limit in (LIMIT, FADING)] == [2 * times, 2 * times]


# ---------------------------------------------------------------------------------------------- what passes is not seen


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_under_load_neither_loses_nor_doubles_a_charge(
    postgres: ThrowAway, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(
        "ig_guardrail.database.connections.PATIENCE_S", 120.0
    )  # a busy machine takes long to restart it
    with spending(ledger, 150) as came:
        while len(came) < 100:
            postgres.ask("SELECT pg_sleep(0.05)")
        postgres.stop(mode)
        postgres.start()
    assert_each_once(ledger, came, 150)


def test_connections_that_the_server_ends_neither_lose_nor_double_a_charge(
    postgres: ThrowAway, ledger: PostgresLedger
) -> None:
    with spending(ledger, 100) as came, psycopg.connect(postgres.address, autocommit=True) as other:
        while len(came) < 350:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'ig-guardrail' ORDER BY random() LIMIT 1"
            )
            other.execute("SELECT pg_sleep(0.05)")
    assert_each_once(ledger, came, 100)


@pytest.mark.parametrize("seed", range(3))
def test_a_connection_that_is_cut_at_any_message_neither_loses_nor_doubles_a_charge(
    postgres: ThrowAway, ledger: PostgresLedger, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        way = CuttingWay(Path(folder), postgres.socket, seed)
        through = PostgresLedger(f"postgresql://postgres@/postgres?host={folder}")
        way.share = 0.04
        with spending(through, 60) as came:
            pass
        through.close()
        way.close()
    assert way.unasked > 3
    assert way.unheard > 3
    assert_each_once(ledger, came, 60)


def test_a_charge_that_is_made_again_under_its_key_finds_itself(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is lost once, after it was committed."""
    charge, calls = postgres_ledger._charge, []

    def unheard(*given: object) -> bool:
        calls.append(charge(*given))  # type: ignore[arg-type]
        if len(calls) % 2:
            raise psycopg.OperationalError("the connection is lost")
        return calls[-1]

    monkeypatch.setattr(postgres_ledger, "_charge", unheard)
    for limit in (Limit("x", 1.0), Limit("y", 1.0, decay=0.5)):
        assert spend(ledger, limit=limit)
        assert ledger.spent("a", 1, limit) == 1.0
    assert calls == [True] * 4


# --------------------------------------------------------------------------------------------------- what does not pass


def test_a_database_that_is_down_is_an_error_and_no_free_text(
    postgres: ThrowAway, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ig_guardrail.database.connections.PATIENCE_S", 0.5)
    assert spend(ledger)
    postgres.stop()
    try:
        for call in (
            lambda: spend(ledger),
            lambda: spend(ledger, limit=FADING),
            lambda: ledger.spent("a", 1, LIMIT),
            lambda: ledger.turn("a"),
            lambda: ledger.advance("a", 1),
            lambda: ledger.knows("a", "f00d"),
            lambda: ledger.remember("a", "f00d"),
            lambda: ledger.forget(1),
            lambda: PostgresLedger(postgres.address),
        ):
            with pytest.raises(LedgerError, match="the ledger cannot be used"):
                call()
        monkeypatch.setattr("ig_guardrail.database.connections.PATIENCE_S", 3_600.0)
        with pytest.raises(LedgerError, match="the database is down"):  # the first has waited for all
            spend(ledger)
    finally:
        postgres.start()
    monkeypatch.undo()
    assert spend(ledger)
    assert ledger.spent("a", 1, LIMIT) == 2.0


async def test_the_server_says_503_while_the_database_is_down(
    postgres: ThrowAway, ledger: PostgresLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ig_guardrail.database.connections.PATIENCE_S", 0.5)
    key = [bearer(key_in(tmp_path / "keys.yaml", tenant="school"))]
    app = app_of(server_over({"open": toy_rail(ledger, scopes=["tenant"], budget=100.0)}, tmp_path / "keys.yaml"))
    assert (await ask(app, "/ready", method="GET")).status == 200
    assert (await ask(app, body=chat(), headers=key)).status == 200
    postgres.stop()
    try:
        ready, said = await ask(app, "/ready", method="GET"), await ask(app, body=chat(), headers=key)
    finally:
        postgres.start()
    assert (ready.status, ready.json["checks"]["ledger"]) == (503, "it cannot be read")
    assert (said.status, said.json["error"]["code"]) == (503, "guard_unavailable")
    assert "postgres" not in str(said.json)


def test_all_connections_busy_is_an_error(postgres: ThrowAway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ig_guardrail.database.connections.PATIENCE_S", 0.5)
    ledger = PostgresLedger(postgres.emptied(), connections=1)
    assert spend(ledger)
    with locked(postgres, "a"):
        waiting = threading.Thread(target=spend, args=(ledger,))
        waiting.start()
        while not postgres.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            postgres.ask("SELECT pg_sleep(0.05)")
        with pytest.raises(LedgerError, match="none of 1 connections was to be had"):
            spend(ledger, account="b")
    waiting.join()
    assert ledger.spent("a", 1, LIMIT) == 2.0
    ledger.close()


def test_an_account_that_another_program_holds_is_an_error(
    postgres: ThrowAway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ig_guardrail.database.connections._SESSION", "SET lock_timeout = '200ms'")
    ledger = PostgresLedger(postgres.emptied())
    with locked(postgres, "a"):
        with pytest.raises(LedgerError, match="lock timeout"):
            spend(ledger)
        assert spend(ledger, account="b")
    assert spend(ledger)
    ledger.close()


@contextmanager
def locked(postgres: ThrowAway, account: str) -> Iterator[None]:
    keys = postgres_ledger._locks([postgres_ledger.account_name(account)])
    with psycopg.connect(postgres.address) as other:
        other.execute(postgres_ledger._LOCK, (keys,))
        yield


@pytest.mark.parametrize("state", ["53100", "53200", "58030", "XX001", "42501"])
@pytest.mark.parametrize("limit", [LIMIT, FADING], ids=["added up there", "added up here"])
def test_a_full_disk_and_its_like_are_errors_and_no_charge(
    postgres: ThrowAway, ledger: PostgresLedger, state: str, limit: Limit
) -> None:
    assert spend(ledger, limit=limit)
    postgres.ask(
        "CREATE FUNCTION ig_guardrail.full() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{state}'; END$$"
    )
    postgres.ask(
        "CREATE TRIGGER full_disk BEFORE INSERT ON ig_guardrail.charge_keys EXECUTE FUNCTION ig_guardrail.full()"
    )
    try:
        with pytest.raises(LedgerError, match="the ledger cannot be used: could not extend file"):
            spend(ledger, limit=limit)
        assert ledger.spent("a", 1, limit) == 1.0
    finally:
        postgres.ask("DROP FUNCTION ig_guardrail.full CASCADE")
    assert spend(ledger, limit=limit)


def test_rows_that_are_garbled_or_gone_are_errors(postgres: ThrowAway, ledger: PostgresLedger) -> None:
    assert spend(ledger)
    assert spend(ledger, limit=FADING)
    with pytest.raises(psycopg.errors.CheckViolation):
        postgres.ask("UPDATE ig_guardrail.charges SET cost = '-1'")
    postgres.ask("UPDATE ig_guardrail.charges SET cost = '1x'")
    for call in (lambda: spend(ledger), lambda: spend(ledger, limit=FADING), lambda: ledger.spent("a", 1, LIMIT)):
        with pytest.raises(LedgerError):
            call()
    postgres.ask("DROP TABLE ig_guardrail.charges")
    for call in (lambda: spend(ledger), lambda: spend(ledger, limit=FADING), lambda: ledger.spent("a", 1, LIMIT)):
        with pytest.raises(LedgerError, match="does not exist"):
            call()


def test_a_database_that_may_not_be_written_is_refused(postgres: ThrowAway) -> None:
    postgres.ask("CREATE DATABASE readers")
    postgres.ask("ALTER DATABASE readers SET default_transaction_read_only = on")
    with pytest.raises(LedgerError, match="session is read-only"):
        PostgresLedger(postgres.address.replace("/postgres?", "/readers?"))
    postgres.ask("DROP DATABASE readers")


# ------------------------------------------------------------------------------------------------------------- versions


def test_a_newer_version_is_refused_with_words(postgres: ThrowAway, ledger: PostgresLedger) -> None:
    postgres.ask("UPDATE ig_guardrail.version SET version = 9")
    with pytest.raises(LedgerError, match="it is of version 9, and this release knows 1") as raised:
        PostgresLedger(postgres.address)
    assert raised.value.fix == "use the release that wrote it, or a newer one"


def test_a_newer_release_brings_a_ledger_up_to_date_once(
    postgres: ThrowAway, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spend(ledger)
    later = (*postgres_ledger.MIGRATIONS, ("ALTER TABLE ig_guardrail.answers ADD COLUMN at timestamptz",))
    monkeypatch.setattr(postgres_ledger, "MIGRATIONS", later)
    opened: list[PostgresLedger] = []
    threads = [threading.Thread(target=lambda: opened.append(PostgresLedger(postgres.address))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.spent("a", 1, LIMIT) for one in opened] == [1.0] * 6
    assert postgres.ask("SELECT version FROM ig_guardrail.version") == [(2,)]
    for one in opened:
        one.close()


def test_a_migration_that_fails_leaves_what_was_there(
    postgres: ThrowAway, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spend(ledger)
    later = (*postgres_ledger.MIGRATIONS, ("DROP TABLE ig_guardrail.answers", "SELECT 1 / 0"))
    monkeypatch.setattr(postgres_ledger, "MIGRATIONS", later)
    with pytest.raises(LedgerError, match="division by zero"):
        PostgresLedger(postgres.address)
    assert not ledger.knows("a", "f00d")


def test_a_schema_of_the_owner_s_is_enough(postgres: ThrowAway) -> None:
    """A user who may make no schema writes in one that was made for him."""
    postgres.emptied()
    postgres.ask("CREATE USER writer")
    try:
        address = postgres.address.replace("//postgres@", "//writer@")
        with pytest.raises(LedgerError, match="permission denied"):
            PostgresLedger(address)
        postgres.ask("CREATE SCHEMA ig_guardrail AUTHORIZATION writer")
        ledger = PostgresLedger(address)
        assert spend(ledger)
        ledger.close()
    finally:
        postgres.emptied()
        postgres.ask("DROP USER writer")


# -------------------------------------------------------------------------------------------------------------- secrets


def test_a_password_is_told_nowhere(
    postgres: ThrowAway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ig_guardrail.database.connections.PATIENCE_S", 0.5)
    caplog.set_level(logging.DEBUG)
    postgres.emptied()
    postgres.ask(f"CREATE USER guarded SUPERUSER PASSWORD '{SECRET}'")
    hba = postgres.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"local all guarded scram-sha-256\n{before}")
    postgres.ask("SELECT pg_reload_conf()")
    told = []
    try:
        address = f"postgresql://guarded:{SECRET}@/postgres?host={postgres.folder}"
        ledger = PostgresLedger(address)
        assert spend(ledger)
        told.append(repr(ledger))
        with pytest.raises(LedgerError, match="password authentication failed") as raised:
            PostgresLedger(address.replace(SECRET, f"{SECRET}x"))
        told.append(str(raised.value))
        postgres.ask("ALTER USER guarded PASSWORD 'another'")
        postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ig-guardrail'")
        with pytest.raises(LedgerError) as raised:
            spend(ledger)
        told.append(str(raised.value))
        ledger.close()
    finally:
        hba.write_text(before)
        postgres.emptied()
        postgres.ask(
            "DROP OWNED BY guarded",
        )
        postgres.ask("DROP USER guarded")
        postgres.ask("SELECT pg_reload_conf()")
    assert SECRET not in " ".join([*told, caplog.text])
    assert all(f"postgresql://guarded@/postgres?host={postgres.folder}" in one for one in told)
