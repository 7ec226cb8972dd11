"""Logs that are written: by many at once, over crashes, from file to file, and no longer than they are kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.audit.chain import find_key
from ig_guardrail.audit.files import LogFiles, raw_lines
from ig_guardrail.audit.kept import readable_lines
from ig_guardrail.audit.log import AuditLog
from ig_guardrail.audit.verify import verify
from ig_guardrail.errors import AuditError, RequestError
from ig_guardrail.settings import KEY_VARIABLE, AuditFile, audit_file

SECRET = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def without_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda opened: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def said(path: Path) -> list[Any]:
    lines = (line.values for part in LogFiles(path).all() for _, line in readable_lines(raw_lines(part)))
    return [values["said"] for values in lines if values["kind"] == "answer"]


def say(log: AuditLog, *words: object) -> None:
    for word in words:
        log.append({"kind": "answer", "said": word})


def append_some(path: Path, name: str) -> None:
    log = AuditLog(AuditFile(path, most_bytes=20_000))
    threads = [
        threading.Thread(target=say, args=(log, *(f"{name}-{thread}-{place}" for place in range(10))))
        for thread in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_processes_of_four_threads_append_without_a_break(file: Path) -> None:
    processes = [multiprocessing.get_context("spawn").Process(target=append_some, args=(file, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = verify(LogFiles(file))
    assert (found.faults, found.answers, found.last.n) == ([], 80, 80)
    assert sorted(said(file)) == sorted(f"{p}-{t}-{n}" for p in "ab" for t in range(4) for n in range(10))


def test_several_logs_of_one_process_take_turns(file: Path) -> None:
    logs = [AuditLog(AuditFile(file)) for _ in range(8)]
    threads = [threading.Thread(target=say, args=(log, *range(5))) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (verify(LogFiles(file)).faults, len(said(file))) == ([], 40)


def test_what_is_made_is_for_its_owner_alone(file: Path) -> None:
    log = AuditLog(AuditFile(file))
    log.keep_policy("0" * 64, "{}")
    say(log, "a")
    made = [one for one in file.parent.rglob("*") if one.is_file()]
    assert len(made) == 4
    assert all(one.stat().st_mode & 0o077 == 0 for one in made)


@pytest.mark.parametrize("torn", [b'{"format', b'{"a": 1}\n{"b"', b"\xff\n", b"{}\n\n"])
def test_a_log_goes_on_behind_a_torn_line_and_tells_it(file: Path, torn: bytes) -> None:
    say(AuditLog(AuditFile(file)), "a", "b")
    with file.open("ab") as opened:
        opened.write(torn)
    assert verify(LogFiles(file)).ok  # the head says that it was whole before
    assert verify(LogFiles(file)).notes
    say(AuditLog(AuditFile(file)), "c")
    found = verify(LogFiles(file))
    assert (found.faults, [note.what for note in found.notes][:1]) == ([], ["torn, as a crash leaves a line"])
    assert said(file) == ["a", "b", "c"]
    data = file.read_bytes()
    file.write_bytes(data.replace(torn.rstrip(b"\n"), b"", 1))
    assert not verify(LogFiles(file)).ok


def test_a_log_whose_end_was_cut_off_never_passes_again(file: Path) -> None:
    say(AuditLog(AuditFile(file)), "a", "b", "c")
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))
    assert ["lines were cut off" in fault.what for fault in verify(LogFiles(file)).faults] == [True]
    say(AuditLog(AuditFile(file)), "d")
    assert [fault.what for fault in verify(LogFiles(file)).faults] == ["line 3 is missing before it"]


def test_a_head_that_a_crash_left_behind_is_no_fault(file: Path) -> None:
    log = AuditLog(AuditFile(file))
    say(log, "a")
    before = LogFiles(file).head.read_text()
    say(log, "b")
    LogFiles(file).head.write_text(before)
    assert verify(LogFiles(file)).ok
    say(AuditLog(AuditFile(file)), "c")
    assert (verify(LogFiles(file)).faults, said(file)) == ([], ["a", "b", "c"])


def test_the_chain_goes_on_from_file_to_file(file: Path) -> None:
    log = AuditLog(AuditFile(file, most_bytes=1_000))
    say(log, *range(12))
    names = [path.name for path in LogFiles(file).all()]
    assert names == ["audit.part000001.jsonl", "audit.part000002.jsonl", "audit.jsonl"]
    assert (verify(LogFiles(file)).faults, said(file)) == ([], list(range(12)))
    (file.parent / names[1]).unlink()
    assert ["missing before it" in fault.what for fault in verify(LogFiles(file)).faults] == [True]


def test_a_crash_between_two_files_breaks_nothing(file: Path) -> None:
    say(AuditLog(AuditFile(file)), "a", "b")
    file.rename(LogFiles(file).next_name())
    log = AuditLog(AuditFile(file))
    say(log, "c")
    assert (verify(LogFiles(file)).faults, said(file)) == ([], ["a", "b", "c"])


def test_a_crash_in_the_first_line_of_a_file_breaks_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    say(AuditLog(AuditFile(file)), "a", "b")
    file.rename(LogFiles(file).next_name())
    file.write_bytes(b'{"form')
    say(AuditLog(AuditFile(file)), "c")
    assert (verify(LogFiles(file)).faults, said(file)) == ([], ["a", "b", "c"])
    assert [one.levelname for one in caplog.records] == ["WARNING"]


def test_a_line_whose_head_cannot_be_written_is_none(file: Path) -> None:
    log = AuditLog(AuditFile(file))
    say(log, "a")
    blocked = file.parent / "audit.jsonl.head.new"
    blocked.mkdir()
    with pytest.raises(AuditError, match="cannot be written"):
        say(log, "b")
    blocked.rmdir()
    say(log, "c")
    assert (verify(LogFiles(file)).faults, said(file)) == ([], ["a", "c"])


def test_old_files_are_dropped_whole_and_the_rest_is_verified(file: Path) -> None:
    log = AuditLog(AuditFile(file, most_bytes=1_000, keep_files=2))
    say(log, *range(30))
    assert len(LogFiles(file).all()) == 3
    found = verify(LogFiles(file))
    assert found.faults == []
    assert found.first > 1
    assert any("were dropped, as the log was told to" in note.what for note in found.notes)
    LogFiles(file).before()[0].unlink()
    assert ["no line says that they were dropped" in fault.what for fault in verify(LogFiles(file)).faults] == [True]


def test_days_have_files_and_are_kept_for_so_long(file: Path) -> None:
    now = [datetime(2026, 11, 1, 23, 0, tzinfo=UTC)]
    log = AuditLog(AuditFile(file, keep_days=2), clock=lambda: now[0])
    for day in range(6):
        say(log, day)
        now[0] += timedelta(days=1)
    assert said(file) == [3, 4, 5]
    assert verify(LogFiles(file)).faults == []


def test_a_log_has_one_key(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET + "\n")
    key.chmod(0o600)
    log = AuditLog(AuditFile(file, key))
    say(log, "a")
    assert SECRET not in file.read_text() + repr(log.key)
    with pytest.raises(AuditError, match="under another key"):
        AuditLog(AuditFile(file))
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    say(AuditLog(AuditFile(file)), "b")
    assert verify(LogFiles(file), find_key(None)).faults == []
    assert log.name("hello") != AuditLog(AuditFile(tmp_path / "plain.jsonl", key)).name("hullo")


@pytest.mark.parametrize(
    ("mode", "text", "told"), [(0o644, SECRET, "others may read"), (0o600, "short", "5 characters")]
)
def test_a_key_that_others_know_or_can_guess_is_refused(mode: int, text: str, told: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(text)
    key.chmod(mode)
    with pytest.raises(RequestError, match=told):
        AuditLog(AuditFile(tmp_path / "audit.jsonl", key))
    with pytest.raises(RequestError, match="cannot be read"):
        find_key(tmp_path / "none")


def test_a_line_that_cannot_be_written_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(AuditFile(file))
    say(log, "a")
    before = file.read_bytes()

    def full(opened: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda opened: full(opened, b""))
        with pytest.raises(AuditError, match="cannot be written"):
            say(log, "b")
    assert file.read_bytes() == before
    say(log, "c")
    assert (verify(LogFiles(file)).faults, said(file)) == ([], ["a", "c"])


def test_a_log_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot be written"):
        AuditLog(AuditFile(tmp_path / "no" / "audit.jsonl"))
    (tmp_path / "head.jsonl.head").write_text("x")
    with pytest.raises(AuditError, match="the head cannot be read"):
        AuditLog(AuditFile(tmp_path / "head.jsonl"))


@pytest.mark.parametrize("settings", [{"most_bytes": 0}, {"keep_days": True}, {"keep_files": 0}, {"on_error": "maybe"}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=next(iter(settings))):
        AuditFile(Path("audit.jsonl"), **settings)
    assert audit_file("a.jsonl") == AuditFile(Path("a.jsonl"))


def test_lines_are_ascii_and_hold_the_time(file: Path) -> None:
    say(AuditLog(AuditFile(file)), "\u2028 ü \ud800")
    line = json.loads(file.read_bytes().decode("ascii"))
    assert datetime.fromisoformat(line["at"]).tzinfo is not None
    assert line["said"] == "\u2028 ü \ud800"
