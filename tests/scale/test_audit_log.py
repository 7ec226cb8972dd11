"""An audit log in PostgreSQL: one chain however many write, lines once or not at all, and nothing taken away unseen."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ig_guardrail.audit import postgres as postgres_audit
from ig_guardrail.audit.kept import readable_lines
from ig_guardrail.audit.log import AuditLog
from ig_guardrail.audit.places import log_at
from ig_guardrail.audit.verify import Verification, verify
from ig_guardrail.drive.records.auditor import Auditor
from ig_guardrail.errors import AuditError, GenerationFailed, RequestError
from ig_guardrail.settings import AuditFile
from ig_guardrail.workbench.traffic.audit_replay import replay_log
from tests.golden.conversations import CALM, CONVERSATIONS
from tests.scale.cutting import CuttingWay
from tests.scale.postgres import SCALE, ThrowAway
from tests.unit.cli.conftest import Command

pytestmark = SCALE
SECRET = "0123456789abcdef" * 4
PASSWORD = "pA55-w0rd"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def address(postgres: ThrowAway) -> str:
    return postgres.emptied()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "audit.key"
    file.write_text(SECRET)
    file.chmod(0o600)
    return file


def say(log: AuditLog, *words: object) -> None:
    for word in words:
        log.append({"kind": "answer", "said": word})


def said(address: str) -> list[Any]:
    with log_at(address).reading() as reading:
        lines = [line.values for _, part in reading.parts for _, line in readable_lines(part)]
    return [values["said"] for values in lines if values["kind"] == "answer"]


def verified(address: str, **more: Any) -> Verification:
    return verify(log_at(address), **more)


def append_some(address: str, name: str) -> None:
    log = AuditLog(AuditFile(address))
    threads = [
        threading.Thread(target=say, args=(log, *(f"{name}-{thread}-{place}" for place in range(10))))
        for thread in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ------------------------------------------------------------------------------------------------------------ one chain


def test_processes_and_threads_write_one_chain(address: str) -> None:
    processes = [
        multiprocessing.get_context("spawn").Process(target=append_some, args=(address, name)) for name in "abc"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = verified(address)
    assert (found.faults, found.answers, found.first, found.last.n) == ([], 120, 1, 120)
    assert sorted(said(address)) == sorted(f"{p}-{t}-{n}" for p in "abc" for t in range(4) for n in range(10))


def test_a_log_under_a_key_goes_on_under_it_alone(address: str, key: Path) -> None:
    say(AuditLog(AuditFile(address, key)), "a")
    with pytest.raises(AuditError, match="under another key, or without one"):
        AuditLog(AuditFile(address))
    with pytest.raises(RequestError, match="the log is written under a key"):
        verified(address)


def test_what_is_for_files_alone_is_refused(address: str) -> None:
    for more in ({"daily": True}, {"keep_files": 3}, {"most_bytes": 1_000}):
        with pytest.raises(RequestError, match="are for files"):
            AuditFile(address, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE lines SET line = replace(line, '\"b\"', '\"x\"')", "it was changed"),
        ("DELETE FROM lines WHERE n = 2", "line 2 is missing before it"),
        ("DELETE FROM lines WHERE n = 1", "lines 1 to 1 are missing, and no line says that they were dropped"),
        ("DELETE FROM lines WHERE n = 3", "the log ends at line 2, and had 3: lines were cut off"),
        ("UPDATE lines SET n = 5 - n WHERE n IN (2, 3)", "line 2 is missing before it"),
        ("INSERT INTO lines SELECT 4, at, key, line FROM lines WHERE n = 2", "lines were put in, swapped or repeated"),
    ],
)
def test_what_is_changed_in_the_database_shows(postgres: ThrowAway, address: str, statement: str, told: str) -> None:
    say(AuditLog(AuditFile(address)), "a", "b", "c")
    assert verified(address).ok
    postgres.ask(
        statement.replace("lines SET n = 5 - n", "lines SET n = -(5 - n)").replace(
            " lines", " ig_guardrail_audit.lines"
        )
    )
    postgres.ask("UPDATE ig_guardrail_audit.lines SET n = -n WHERE n < 0")
    assert any(told in str(fault) for fault in verified(address).faults), verified(address).faults


def test_lines_cut_off_with_the_head_put_back_show_by_a_copy_of_the_head(postgres: ThrowAway, address: str) -> None:
    log = AuditLog(AuditFile(address))
    say(log, "a")
    ((n, digest, sealed),) = postgres.ask("SELECT n, hash, sealed FROM ig_guardrail_audit.head")
    say(log, "b")
    copy = verified(address).last
    postgres.ask("DELETE FROM ig_guardrail_audit.lines WHERE n = 2")
    assert not verified(address).ok
    postgres.ask("UPDATE ig_guardrail_audit.head SET n = %s, hash = %s, sealed = %s", n, digest, sealed)
    assert verified(address).ok  # as with files: the end has no witness but a head that is kept elsewhere
    assert not verified(address, anchors=[copy]).ok
    postgres.ask("UPDATE ig_guardrail_audit.head SET n = 2, hash = %s", copy.hash)
    say(log, "c")
    assert [fault.what for fault in verified(address).faults] == ["line 2 is missing before it"]


# ---------------------------------------------------------------------------------------------------------- each once


@pytest.mark.parametrize("seed", range(3))
def test_a_connection_that_is_cut_at_any_message_neither_loses_nor_doubles_a_line(
    postgres: ThrowAway, address: str, seed: int
) -> None:
    AuditLog(AuditFile(address))
    with tempfile.TemporaryDirectory() as folder:
        way = CuttingWay(Path(folder), postgres.socket, seed)
        log = AuditLog(AuditFile(f"postgresql://postgres@/postgres?host={folder}"))
        way.share = 0.05
        threads = [threading.Thread(target=say, args=(log, *(f"{one}-{n}" for n in range(40)))) for one in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        way.share = 0.0
        log._chain._database.close()  # type: ignore[attr-defined]
        way.close()
    assert way.unasked > 1
    assert way.unheard > 1
    assert verified(address).faults == []
    assert sorted(said(address)) == sorted(f"{one}-{n}" for one in range(3) for n in range(40))


def test_a_line_that_was_written_and_not_heard_of_is_found_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call, calls = postgres_audit._Writing.__call__, []

    def unheard(writing: Any, connection: Any) -> Any:
        calls.append(call(writing, connection))
        if len(calls) == 1:
            say(other, "between")
            raise psycopg.OperationalError("the connection is lost")
        return calls[-1]

    log, other = AuditLog(AuditFile(address)), AuditLog(AuditFile(address))
    with monkeypatch.context() as broken:
        broken.setattr(postgres_audit._Writing, "__call__", unheard)
        say(log, "a")
    assert said(address) == ["a", "between"]
    assert calls[0] == calls[-1]
    assert verified(address).faults == []


def test_a_restart_as_by_a_crash_loses_no_line_that_counted(
    postgres: ThrowAway, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ig_guardrail.database.connections.PATIENCE_S", 120.0
    )  # a busy machine takes long to restart it
    log = AuditLog(AuditFile(address))
    threads = [threading.Thread(target=say, args=(log, *(f"{one}-{n}" for n in range(60)))) for one in range(3)]
    for thread in threads:
        thread.start()
    while int(str(postgres.ask("SELECT count(*) FROM ig_guardrail_audit.lines")[0][0])) < 40:
        pass
    postgres.stop("immediate")
    postgres.start()
    for thread in threads:
        thread.join()
    assert verified(address).faults == []
    assert sorted(said(address)) == sorted(f"{one}-{n}" for one in range(3) for n in range(60))


# --------------------------------------------------------------------------------------------------------- fails closed


def test_an_answer_without_a_line_is_not_delivered(
    postgres: ThrowAway, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ig_guardrail.database.connections.PATIENCE_S", 0.5)
    rails = {how: CONVERSATIONS["completed"].guardrail() for how in ("closed", "open")}
    for how, rail in rails.items():
        rail.auditor = Auditor(AuditFile(address, on_error=how))  # type: ignore[arg-type]
    ask = CONVERSATIONS["completed"].ask
    postgres.stop()
    try:
        with pytest.raises(GenerationFailed, match="the audit log cannot be used"):
            list(rails["closed"].stream(ask()))
        *_, last = rails["open"].stream(ask())
        assert last.receipt is not None
        assert last.receipt.text == CALM
        with pytest.raises(AuditError, match="the audit log cannot be used"):
            AuditLog(AuditFile(address))
    finally:
        postgres.start()
    monkeypatch.undo()
    for rail in rails.values():
        list(rail.stream(ask()))
    lines = [values.get("lost") for values in _values(address)]
    assert lines == [1, 1]
    assert verified(address).faults == []


@pytest.mark.parametrize("state", ["53100", "58030", "42501"])
def test_a_full_disk_and_its_like_break_an_answer_off(postgres: ThrowAway, address: str, state: str) -> None:
    rail = CONVERSATIONS["completed"].guardrail()
    rail.auditor = Auditor(AuditFile(address))
    postgres.ask(
        "CREATE FUNCTION ig_guardrail_audit.full() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{state}'; END$$"
    )
    postgres.ask(
        "CREATE TRIGGER full_disk BEFORE INSERT ON ig_guardrail_audit.lines"
        " FOR EACH ROW EXECUTE FUNCTION ig_guardrail_audit.full()"
    )
    with pytest.raises(GenerationFailed, match="could not extend file") as failed:
        list(rail.stream(CONVERSATIONS["completed"].ask()))
    assert failed.value.receipt.verdict.outcome == "failed"
    postgres.ask("DROP FUNCTION ig_guardrail_audit.full CASCADE")
    list(rail.stream(CONVERSATIONS["completed"].ask()))
    assert (verified(address).faults, verified(address).answers) == ([], 1)


def test_who_may_not_write_lines_is_told_at_once(postgres: ThrowAway, address: str) -> None:
    AuditLog(AuditFile(address))
    postgres.ask("CREATE USER reader")
    try:
        postgres.ask("GRANT USAGE ON SCHEMA ig_guardrail_audit TO reader")
        postgres.ask("GRANT SELECT ON ALL TABLES IN SCHEMA ig_guardrail_audit TO reader")
        reader = address.replace("//postgres@", "//reader@")
        with pytest.raises(AuditError, match="this user may write no line"):
            AuditLog(AuditFile(reader))
        assert verified(reader).ok
    finally:
        postgres.emptied()
        postgres.ask("DROP USER reader")


def test_a_newer_version_is_refused_with_words(postgres: ThrowAway, address: str) -> None:
    AuditLog(AuditFile(address))
    postgres.ask("UPDATE ig_guardrail_audit.version SET version = 9")
    for opened in (lambda: AuditLog(AuditFile(address)), lambda: log_at(address)):
        with pytest.raises(AuditError, match="it is of version 9, and this release knows 1"):
            opened()


def test_a_password_is_told_nowhere(address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = address.replace("//postgres@", f"//postgres:{PASSWORD}@")
    file = AuditFile(secret)
    log = AuditLog(file)
    say(log, "a")
    away = AuditFile(f"postgresql://guard:{PASSWORD}@/rails?host={tmp_path}")
    with pytest.raises(AuditError, match="the audit log cannot be used: connection") as raised:
        AuditLog(away)
    told = f"{file!r} {log.place} {raised.value} {verified(secret).as_text()} {caplog.text}"
    assert PASSWORD not in told


# ------------------------------------------------------------------------------------- what is kept, and for how long


def _values(address: str) -> list[Any]:
    with log_at(address).reading() as reading:
        return [line.values for _, part in reading.parts for _, line in readable_lines(part)]


def written_over(address: str, days: range, **more: Any) -> None:
    for day in days:
        say(AuditLog(AuditFile(address, **more), clock=lambda: NOW - timedelta(days=day)), day)  # noqa: B023


def test_old_lines_are_deleted_behind_a_line_that_says_so(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_audit, "MOST_DROPPED", 2)  # so that it takes several transactions
    written_over(address, range(9, -1, -1))
    log = AuditLog(AuditFile(address, keep_days=4), clock=lambda: NOW)
    assert log.prune() == 5
    assert log.prune() == 0
    found = verified(address)
    assert (found.faults, said(address), found.first) == ([], [4, 3, 2, 1, 0], 6)
    assert [note.what for note in found.notes][-1] == "lines up to 5 were dropped, as the log was told to"


def test_a_log_with_days_forgets_by_itself_and_may_forget_all(address: str) -> None:
    written_over(address, range(9, 0, -1))
    written_over(address, range(1), keep_days=3)
    assert said(address) == [3, 2, 1, 0]
    AuditLog(AuditFile(address, keep_days=1), clock=lambda: NOW + timedelta(days=30)).prune()
    assert (verified(address).faults, said(address)) == ([], [])
    written_over(address, range(-31, -32, -1))
    assert (verified(address).faults, said(address)) == ([], [-31])


def test_decisions_come_out_again_and_a_copy_in_a_file_is_the_same_log(
    ig: Command,
    address: str,
    key: Path,
    tmp_path: Path,
) -> None:
    for name in ("completed", "rescued", "refused"):
        rail = CONVERSATIONS[name].guardrail()
        rail.auditor = Auditor(AuditFile(address, key))
        list(rail.stream(CONVERSATIONS[name].ask()))
    found = replay_log([address])
    assert (found.same, found.differences, found.apart) == (3, (), {})
    place = log_at(address).name
    ran = ig("audit", "verify", address, "--key-file", str(key), "--lines", "3")
    assert (ran.code, f"lines 1 to 3 of {place}: 3 answers, bound by a key" in ran.out) == (0, True)
    assert ig("audit", "replay", address).out == "3 decisions came out as they were written, 0 did not\n"
    copy = tmp_path / "copy.jsonl"
    assert ig("audit", "export", address, str(copy)).out == f"{copy}: 3 lines\n"
    assert ig("audit", "verify", str(copy), "--key-file", str(key), "--head", f"{copy}.head").code == 0
    assert ig("audit", "replay", str(copy)).code == 0
    assert ig("audit", "export", address, str(copy)).code == 2
    ran = ig("audit", "prune", address, "--older-than", "1d", "--key-file", str(key))
    assert (ran.code, ran.out) == (0, f"{place}: 0 lines deleted\n")


def test_a_database_without_a_log_is_no_log(address: str, ig: Command) -> None:
    ran = ig("audit", "verify", address)
    assert (ran.code, "there is no such log" in ran.err) == (2, True)
