"""What stands around bodies: names of requests, headers that proxies and clients go by, lines of a stream."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

from ig_guardrail.integrations.openai_server import server, serving
from ig_guardrail.integrations.openai_server.listening import listen
from ig_guardrail.integrations.openai_server.sse import frame
from tests.unit.server.asgi import CHAT, app_of, ask, chat, key_in, server_over, toy_rail

RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
ASKED: dict[str, Any] = {
    CHAT: chat(stream=True),
    RESPONSES: {"model": "toy", "input": "hello", "max_output_tokens": 8, "stream": True},
    MESSAGES: {**{name: chat()[name] for name in ("model", "messages", "max_tokens")}, "stream": True},
}


def app() -> Any:
    return app_of(server_over({"open": toy_rail()}))


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v1/models", "GET", 200),
        ("/v1/nothing", "GET", 404),
        (CHAT, "GET", 405),
        (CHAT, "POST", 400),
        ("/v1/models/", "GET", 404),
        ("/health", "GET", 200),
        ("/ready", "GET", 200),
        ("/metrics", "GET", 200),
    ],
)
async def test_every_reply_names_its_request(path: str, method: str, status: int) -> None:
    replied = await ask(app(), path, method=method)
    assert replied.status == status
    names = {replied.headers[name] for name in ("x-request-id", "request-id")}
    assert len(names) == 1
    assert names.pop().startswith("req_")


async def test_so_does_one_to_who_is_not_let_in(tmp_path: Path) -> None:
    key_in(tmp_path / "keys.yaml", tenant="x")
    refused = await ask(app_of(server_over({"open": toy_rail()}, tmp_path / "keys.yaml")), MESSAGES)
    assert refused.status == 401
    assert refused.headers["request-id"] == refused.headers["x-request-id"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *(("mine-1", True), ("a" * 200, True), ("a" * 201, False), ("", False)),
        *(("a b", False), ("\x1b[31m", False), ("a\x85b", False), ("ü", False)),
    ],
)
async def test_a_caller_s_own_name_is_kept_where_a_line_can_hold_it(given: str, kept: bool) -> None:
    replied = await ask(app(), "/v1/models", method="GET", headers=[("x-request-id", given)])
    assert (replied.headers["x-request-id"] == given) is kept


TOOL = {"name": "f", "parameters": {}, "input_schema": {}}


@pytest.mark.parametrize(
    ("path", "tool"),
    [(CHAT, {"type": "function", "function": TOOL}), (RESPONSES, {"type": "function", **TOOL}), (MESSAGES, TOOL)],
)
async def test_no_more_tools_are_read_than_a_model_can_be_told_of(path: str, tool: Any) -> None:
    replied = await ask(app(), path, {**ASKED[path], "tools": [tool] * 1_001})
    assert replied.status == 400
    assert "at most 1000 tools may be offered" in replied.json["error"]["message"]


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
async def test_a_large_body_is_read_beside_the_event_loop(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []
    read = server.read_object
    here = threading.get_ident()
    monkeypatch.setattr(server, "read_object", lambda body: threads.append(threading.get_ident() == here) or read(body))
    long = {**ASKED[path], "metadata": {"name": "x" * 200_000}}
    for body in (ASKED[path], long):
        await ask(app(), path, body)
    assert threads == [True, False]


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, "/v1/guard/check"])
async def test_a_long_conversation_is_cut_into_tokens_beside_the_event_loop(path: str) -> None:
    rail, threads = toy_rail(), list[bool]()
    encode, here = rail.engine.encode, threading.get_ident()
    rail.engine.encode = lambda *given: threads.append(threading.get_ident() == here) or encode(*given)
    app = app_of(server_over({"open": rail}))
    await ask(app, CHAT, ASKED[CHAT])  # in which the policy's messages are tried, too
    for text, expected in (("hello", True), ("hello" * 5_000, False)):
        threads.clear()
        turns = [{"role": "user", "content": text}]
        said = {"input": text} if path == RESPONSES else {"messages": turns}
        asked = {"inputs": [{"prompt": text, "text": "a"}]} if path.endswith("check") else {**ASKED[path], **said}
        await ask(app, path, asked)
        assert threads[0] is expected


async def test_a_caller_who_leaves_while_his_conversation_is_cut_into_tokens_frees_his_slot() -> None:
    rail, begun, go = toy_rail(), threading.Event(), threading.Event()
    encode = rail.engine.encode

    def slow(*given: Any) -> Any:
        begun.set()
        go.wait(30)
        return encode(*given)

    server = server_over({"open": rail})
    app = app_of(server)
    await ask(app, CHAT, ASKED[CHAT])
    rail.engine.encode = slow
    asking = asyncio.create_task(ask(app, CHAT, {**chat(), "messages": [{"role": "user", "content": "b" * 25_000}]}))
    while not begun.is_set():
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(0)
    assert server.admission.running == 1  # as long as it works
    go.set()
    await asyncio.gather(asking, return_exceptions=True)
    assert server.admission.running == 0


async def test_a_caller_who_leaves_while_his_text_is_judged_frees_slot_and_engine() -> None:
    rail = toy_rail()
    server = server_over({"open": rail})
    app = app_of(server)
    rail.engine.append = lambda items: Future()  # never read to its end
    body = {"inputs": [{"text": "a" * 1_000}]}
    replied = await asyncio.wait_for(ask(app, "/v1/guard/check", body, leave_after=-1), 30)
    assert (replied.status, server.admission.running, rail.engine.live_nodes()) == (499, 0, 0)


async def test_without_keys_no_page_of_another_site_reads_anything() -> None:
    for path in ("/metrics", "/ready", "/health", "/v1/models"):
        replied = await ask(app(), path, method="GET", headers=[("origin", "https://elsewhere.example")])
        assert (replied.status, replied.json["error"]["code"]) == (403, "not_local")


async def test_a_slash_at_the_end_leads_nowhere_and_is_told() -> None:
    replied = await ask(app(), f"{CHAT}/")
    assert (replied.status, "location" in replied.headers) == (404, False)
    assert replied.json["error"]["message"] == f"there is no {CHAT}/; leave out the slash at its end"


async def test_a_body_that_is_packed_is_told_so() -> None:
    replied = await ask(app(), CHAT, chat(), headers=[("content-encoding", "gzip")])
    assert (replied.status, replied.headers["accept-encoding"]) == (415, "identity")
    assert "gzip" in replied.json["error"]["message"]


async def test_methods_that_there_are_instead_are_told() -> None:
    assert (await ask(app(), CHAT, method="GET")).headers["allow"] == "POST"


async def test_what_is_nowhere_below_messages_is_told_in_anthropics_form() -> None:
    replied = await ask(app(), f"{MESSAGES}/batches")
    assert (replied.status, replied.json["type"], replied.json["error"]["type"]) == (404, "error", "not_found_error")


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
async def test_no_proxy_holds_back_a_stream(path: str) -> None:
    replied = await ask(app(), path, ASKED[path])
    assert replied.status == 200
    assert (replied.headers["cache-control"], replied.headers["x-accel-buffering"]) == ("no-cache", "no")


@pytest.mark.parametrize("asked", [False, True])
async def test_where_usage_is_asked_for_every_chunk_has_its_place(asked: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if asked else {}
    *chunks, last = (await ask(app(), CHAT, {**ASKED[CHAT], **options})).events
    assert [("usage" in one, one.get("usage")) for one in chunks] == [(asked, None)] * len(chunks)
    assert bool(last.get("usage")) is asked


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\n", "\r", "\x0b", "\x1c"])
def test_an_event_s_data_is_one_line_by_any_count(end: str) -> None:
    told = frame({"text": f"one{end}two"}, "said").decode()
    named, data, *rest = told.splitlines()
    assert (named, rest) == ("event: said", [""])
    assert json.loads(data.removeprefix("data: ")) == {"text": f"one{end}two"}


@pytest.fixture
def on_this_machine() -> Iterator[None]:
    """Sockets of this machine may be used."""
    enable_socket()
    socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)
    yield
    disable_socket(allow_unix_socket=True)


@pytest.mark.usefixtures("on_this_machine")
async def test_small_pieces_are_sent_at_once() -> None:
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def served(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(served, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await told
            writer.close()


def test_a_connection_is_kept_for_longer_than_its_other_side_keeps_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(serving.GracefulServer, "run", lambda self, sockets: made.append(self.config))
    with listen("", 0, str(tmp_path / "socket")) as listener:
        serving.run(server_over({"open": toy_rail()}), listener)
    assert made[0].timeout_keep_alive > 90
