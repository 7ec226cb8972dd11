"""A server in a process of its own that is told to stop, and one that is killed in mid-stream."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ig_guardrail.audit.files import LogFiles
from ig_guardrail.audit.verify import verify
from ig_guardrail.ledger import Limit, SQLiteLedger
from tests.unit.server.asgi import CHAT, chat, key_in
from tests.unit.server.serving import http

ASKED = chat(max_tokens=40, stream=True)
EACH = 0.7  # that four letters cost
TENANT = Limit("per-tenant", 100.0)


class Stand:
    """The process, and what lies in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, key_in(folder / "keys.yaml", tenant="school")
        os.mkfifo(folder / "pipe")
        self.log = (folder / "log").open("w")
        command = [sys.executable, "-m", "tests.unit.server.stand", str(folder)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.until("serving toy")  # it listens; what is asked now is answered once it has started

    def client(self) -> httpx2.Client:
        return http(str(self.folder / "socket"), headers={"Authorization": f"Bearer {self.key}"})

    def until(self, told: str) -> None:
        """Read its log until it tells that."""
        assert any(told in line for line in self.process.stderr or ())

    def until_refused(self) -> None:
        """Connect until that is refused."""
        while True:
            with socket.socket(socket.AF_UNIX) as other:
                try:
                    other.connect(str(self.folder / "socket"))
                except ConnectionRefusedError:
                    return

    def open_pipe(self) -> None:
        (self.folder / "pipe").write_text("go on")

    @property
    def spent(self) -> float:
        return SQLiteLedger(self.folder / "ledger").spent('["toy", "school"]', 9, TENANT)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()
    assert made.process.stderr is not None
    made.process.stderr.close()
    made.log.close()


def said(lines: list[str]) -> tuple[str, list[Any]]:
    """The text of a stream, and its events."""
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    deltas = [event["choices"][0]["delta"].get("content", "") for event in events if event.get("choices")]
    return "".join(deltas), events


def until_text(lines: Iterator[str]) -> list[str]:
    """The lines of a stream until some of its text came."""
    read = []
    for line in lines:
        read.append(line)
        if said(read)[0]:
            break
    return read


@pytest.mark.parametrize("told", [[signal.SIGTERM], [signal.SIGHUP, signal.SIGHUP]])
def test_a_server_that_is_told_to_stop_ends_what_runs_and_serves_nothing_new(
    stand: Stand, told: list[signal.Signals]
) -> None:
    with stand.client() as plain, plain.stream("POST", CHAT, json=ASKED) as stream:
        lines = stream.iter_lines()
        read = until_text(lines)
        for one in told:
            stand.process.send_signal(one)
        stand.until("stopping: 1 requests")
        stand.until_refused()
        stand.open_pipe()
        read += lines
    text, events = said(read)
    assert text == "b" * 40
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    assert "data: [DONE]" in read
    assert stand.process.wait(30) == 0
    assert stand.spent == pytest.approx(10 * EACH)
    found = verify(LogFiles(stand.folder / "audit.jsonl"))
    assert (found.answers, found.faults) == (1, [])


def test_a_server_that_is_killed_has_shown_nothing_that_is_not_paid(stand: Stand) -> None:
    with stand.client() as plain, plain.stream("POST", CHAT, json=ASKED) as stream:
        lines = stream.iter_lines()
        read = until_text(lines)
        stand.process.kill()
        with pytest.raises(httpx2.RemoteProtocolError):
            read += lines
    text, events = said(read)
    assert 0 < len(text) < 12
    assert all(event["choices"][0]["finish_reason"] is None for event in events)
    assert "data: [DONE]" not in read
    assert stand.process.wait(30) == -signal.SIGKILL
    assert stand.spent >= len(text) / 4 * EACH - 1e-9
