"""Answers that take long: callers who leave, deadlines, and what is sent while a text is held."""

from __future__ import annotations

import json
import socket as sockets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeLimits
from tests.golden.conversations import CALM, scripted_guardrail
from tests.unit.server.serving import MODEL, http, running, server_of, until

ASK: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Tell me something."}], "max_tokens": 64}
PATHS = ("/v1/chat/completions", "/v1/messages")


@contextmanager
def stalling(call: int, caller: Caller | None = None, **settings: Any) -> Iterator[tuple[str, Guardrail, Any]]:
    """A server whose engine waits at that block until it is told to go on: its socket, its guardrail, the event."""
    go = threading.Event()
    guardrail = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", call): go}))
    server = server_of(guardrails={"calm": guardrail}, **settings)
    if caller is not None:
        server.caller = lambda request: caller  # type: ignore[method-assign]
    with running(server) as socket, ending(go):
        yield socket, guardrail, go


@contextmanager
def ending(go: threading.Event) -> Iterator[None]:
    """Has the engine go on in the end, whatever came of a test."""
    try:
        yield
    finally:
        go.set()


def calls(guardrail: Guardrail) -> int:
    assert isinstance(guardrail.engine, ScriptedEngine)
    return guardrail.engine.calls("extend")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("call", [1, 5])
def test_a_caller_who_leaves_frees_the_engine(path: str, stream: bool, call: int) -> None:
    with stalling(call) as (socket, guardrail, go):
        body = json.dumps({**ASK, "stream": stream}).encode()
        with sockets.socket(sockets.AF_UNIX) as line:
            line.connect(socket)
            head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
            line.sendall(head.encode() + body)
            until(lambda: calls(guardrail) >= call)
            assert guardrail.engine.live_nodes() > 0
        until(lambda: guardrail.engine.live_nodes() == 0)
        go.set()
        with http(socket) as plain:
            assert plain.post(path, json=ASK).status_code == 200
        assert guardrail.engine.live_nodes() == 0


@pytest.mark.parametrize("body", [b"", json.dumps(ASK).encode(), b" " * 200_000, b" " * 900_000])
def test_a_caller_who_leaves_the_queue_frees_his_place(body: bytes) -> None:
    go = threading.Event()
    guardrail = scripted_guardrail({(0, 0): CALM}, incidents=Incidents(gates={("extend", 1): go}))
    server = server_of(guardrails={"calm": guardrail}, limits=ServeLimits(at_once=1, queue=1, wait=60))
    admission = server.admission
    with running(server) as socket, ThreadPoolExecutor(2) as callers, http(socket) as plain, ending(go):
        served = callers.submit(plain.post, PATHS[0], json=ASK)
        until(lambda: admission.running == 1)
        for _ in range(3):
            with sockets.socket(sockets.AF_UNIX) as line:
                line.connect(socket)
                head = f"POST {PATHS[0]} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n"
                line.sendall(head.encode() + body)
                until(lambda: admission.waiting == 1)
                assert plain.post(PATHS[0], json=ASK).status_code == 429
            until(lambda: admission.waiting == 0)
        last = callers.submit(plain.post, PATHS[0], json=ASK)
        until(lambda: admission.waiting == 1)
        go.set()
        assert [one.result().status_code for one in (served, last)] == [200, 200]


@pytest.mark.parametrize(("path", "kind"), [(PATHS[0], "server_error"), (PATHS[1], "timeout_error")])
@pytest.mark.parametrize("stream", [False, True])
def test_past_the_deadline_nothing_is_taken_for_an_answer(path: str, kind: str, stream: bool) -> None:
    with stalling(1, Caller(("calm",), seconds=0.05)) as (socket, guardrail, _), http(socket) as plain:
        late = plain.post(path, json={**ASK, "stream": stream})
        assert (late.status_code, late.json()["error"]["type"]) == (408, kind)
        assert late.headers["x-should-retry"] == "false"
        assert guardrail.engine.live_nodes() == 0


@pytest.mark.parametrize("path", PATHS)
def test_a_deadline_in_mid_stream_is_an_error_event(path: str) -> None:
    with stalling(5, Caller(("calm",), seconds=0.5)) as (socket, _, _), http(socket) as plain:
        told = plain.post(path, json={**ASK, "stream": True}).text
    assert "The sky" in told
    assert '"code":"timeout"' in told
    assert 'finish_reason":"' not in told
    assert "message_stop" not in told


@pytest.mark.parametrize(
    ("path", "held", "last"),
    [
        (PATHS[0], ": held\n\n", "data: [DONE]\n\n"),
        (PATHS[1], 'event: ping\ndata: {"type":"ping"}\n\n', 'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
    ],
)
def test_while_a_text_is_held_the_line_is_kept_alive(path: str, held: str, last: str) -> None:
    with stalling(1, quiet=0.01) as (socket, _, go), http(socket) as plain:
        with plain.stream("POST", path, json={**ASK, "stream": True}) as answer:
            told = ""
            for piece in answer.iter_text():
                told += piece
                if held in told:
                    go.set()
        assert told.index(held) < told.index("The sky")
        assert told.endswith(last)
        assert path == PATHS[0] or told.startswith("event: message_start")
