"""What callers see, and what is kept, when something that a server leans on fails: nothing that was not paid for."""

from __future__ import annotations

import asyncio
import errno
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from ig_guardrail.audit import file_chain
from ig_guardrail.audit.files import LogFiles
from ig_guardrail.audit.verify import verify
from ig_guardrail.drive.records.auditor import Auditor
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server import app as app_module
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeLimits
from ig_guardrail.ledger import Limit, SQLiteLedger, sqlite
from ig_guardrail.settings import AuditFile
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy
from tests.unit.server.asgi import CHAT, app_of, ask, bearer, chat, key_in, server_over, toy_rail

EACH = 0.7  # that four letters cost
SECRET = "the weights caught fire"
Advance = Callable[[], Any]


class Failing(LetterCost):
    """Costs that are told up to a number of letters; then they fail."""

    def __init__(self, fails: Advance, at: int) -> None:
        super().__init__("level", reading="event")
        self._fails, self._at = fails, at

    def advance(self, steps: Sequence[Any]) -> Any:
        if any(length + len(piece.text) >= self._at for (_, length), piece in steps):
            scores = self._fails()
            return [(state, scores) for (state, _) in steps]
        return super().advance(steps)


def crash() -> Any:
    raise ZeroDivisionError(SECRET)


LIARS: dict[str, Advance] = {
    "crashes": crash,
    "is slow": lambda: threading.Event().wait(0.2),
    "says NaN": lambda: (float("nan"),),
    "says 2": lambda: (2.0,),
    "says -1": lambda: (-1.0,),
    "says a text": lambda: ("0",),
    "says nothing": lambda: (),
}


def rail_of(folder: Path, fails: Advance = tuple, at: int = 10**6) -> Guardrail:
    policy = toy_policy([toy_budget("per-tenant", scope="tenant", budget=100.0)])
    (spec,) = policy.cost_models
    policy = replace(policy, cost_models=(replace(spec, timeout_s=0.05 if fails is LIARS["is slow"] else 20.0),))
    ledger = SQLiteLedger(folder / "ledger")
    rail = guardrail(letters((0, 1, 0)), policy, {"level": Failing(fails, at)}, ledger=ledger)
    rail.auditor = Auditor(AuditFile(folder / "audit.jsonl"))
    return rail


def spent(folder: Path) -> float:
    return SQLiteLedger(folder / "ledger").spent('["toy", "school"]', 9, Limit("per-tenant", 100.0))


async def failing(rail: Guardrail, folder: Path, stream: bool) -> str:
    """Ask for an answer that fails; what was shown of it. Its failure is told cleanly, and all is free again."""
    key = key_in(folder / "keys.yaml", tenant="school")
    server = server_over({"open": rail}, folder / "keys.yaml")
    replied = await ask(app_of(server), CHAT, chat(max_tokens=40, stream=stream), [bearer(key)])
    shown, told = "", replied.json if not replied.headers["content-type"].startswith("text/event-stream") else None
    if told is None:
        *events, told = replied.events
        shown = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
        assert all(event["choices"][0]["finish_reason"] is None for event in events)
        assert replied.body.endswith(b"data: [DONE]\n\n")
    else:
        assert replied.status == 503
        assert replied.headers["retry-after"] == "1"
    assert told["error"]["code"] == "guard_unavailable"
    assert SECRET.encode() not in replied.body
    assert str(folder).encode() not in replied.body
    assert (server.admission.running, rail.engine.live_nodes()) == (0, 0)  # type: ignore[attr-defined]
    return shown


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("at", [0, 16], ids=["first", "later"])
@pytest.mark.parametrize("fails", LIARS.values(), ids=LIARS)
async def test_a_cost_model_fails(tmp_path: Path, fails: Advance, at: int, stream: bool) -> None:
    shown = await failing(rail_of(tmp_path, fails, at), tmp_path, stream)
    assert shown == "b" * len(shown)
    assert bool(shown) == (stream and at > 0)
    assert spent(tmp_path) >= len(shown) / 4 * EACH - 1e-9
    found = verify(LogFiles(tmp_path / "audit.jsonl"))
    assert (found.answers, found.faults) == (1, [])


@contextmanager
def gone(folder: Path) -> Iterator[None]:
    (folder / "ledger").rename(folder / "away")
    yield
    (folder / "away").rename(folder / "ledger")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "ledger", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("broken", [gone, locked])
async def test_the_ledger_cannot_be_used(tmp_path: Path, monkeypatch: Any, broken: Any, stream: bool) -> None:
    monkeypatch.setattr(sqlite, "BUSY_S", 0.02)
    rail = rail_of(tmp_path)
    with broken(tmp_path):
        assert await failing(rail, tmp_path, stream) == ""
    assert spent(tmp_path) == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_disk_of_the_audit_log_is_full(tmp_path: Path, monkeypatch: Any, stream: bool) -> None:
    def full(opened: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rail = rail_of(tmp_path)
    monkeypatch.setattr(file_chain, "_write_all", full)
    shown = await failing(rail, tmp_path, stream)
    assert spent(tmp_path) >= len(shown) / 4 * EACH - 1e-9
    monkeypatch.undo()
    assert not (tmp_path / "audit.jsonl").read_bytes()


async def test_three_hundred_leave_at_any_point_and_nothing_of_them_stays() -> None:
    rail, dice = toy_rail(weights=(1, 0, 0.02)), random.Random(300)
    server = server_over({"open": rail}, limits=ServeLimits(at_once=8, queue=300))
    app = app_of(server)
    before = asyncio.all_tasks()
    asked = [
        ask(app, CHAT, chat(stream=dice.random() < 0.7, max_tokens=8, n=dice.choice([1, 1, 2])), leave_after=after)
        for after in (dice.randrange(-1, 12) for _ in range(300))
    ]
    await asyncio.gather(*asked)
    assert asyncio.all_tasks() == before
    assert (server.admission.running, server.admission.waiting) == (0, 0)
    assert rail.engine.live_nodes() == 0


@pytest.mark.parametrize(("path", "kind"), [(CHAT, "server_error"), ("/v1/messages", "timeout_error")])
async def test_an_answer_that_is_not_begun_in_time_is_told_so(monkeypatch: Any, path: str, kind: str) -> None:
    monkeypatch.setattr(app_module, "SENT_S", 0.05)
    server = server_over({"open": toy_rail()}, limits=ServeLimits(seconds=0.1))
    forever = asyncio.Event()

    async def opened(*of: Any) -> Any:
        await forever.wait()

    monkeypatch.setattr(server.served, "guardrail", opened)
    body = {"model": "toy", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    replied = await ask(app_of(server), path, body)
    assert replied.status == 408
    assert replied.json["error"]["type"] == kind
    assert replied.json["error"]["code"] == "timeout"
    assert server.admission.running == 0


async def test_an_answer_that_is_not_taken_is_not_decoded_and_ends_with_its_time(monkeypatch: Any) -> None:
    monkeypatch.setattr(app_module, "SENT_S", 0.05)
    rail = toy_rail(weights=(1, 0, 0))
    server = server_over({"open": rail}, limits=ServeLimits(seconds=0.3))
    app, stuck, done, most = app_of(server), asyncio.Event(), [], []

    async def never_taken(scope: Any, receive: Any, send: Any) -> None:
        async def full(message: Any) -> None:
            await send(message)
            if b"content" in message.get("body", b""):
                stuck.set()
                await asyncio.Event().wait()

        await app(scope, receive, full)
        done.append(True)

    asking = asyncio.ensure_future(ask(never_taken, CHAT, chat(stream=True, max_tokens=4_000)))
    await stuck.wait()
    for _ in range(100):
        await asyncio.sleep(0)
        most.append(rail.engine.calls("extend"))
    assert most[0] == most[-1] < 10
    assert server.admission.running == 1
    await asking
    assert done
    assert (server.admission.running, rail.engine.live_nodes()) == (0, 0)
    assert HIGH_WATER_LIMIT == 65_536  # bytes that wait in the process for a caller, as docs/operators.md says


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_still_runs_when_the_time_to_drain_is_over_is_told_so(stream: bool) -> None:
    rail = toy_rail(weights=(1, 0, 0))
    server = server_over({"open": rail})
    asking = asyncio.ensure_future(ask(app_of(server), CHAT, chat(stream=stream, max_tokens=4_000)))
    while rail.engine.calls("extend") < 5:
        await asyncio.sleep(0)
    server.admission.drain(0)
    replied = await asking
    told = replied.events[-1] if stream else replied.json
    assert told["error"]["code"] == "server_stopping"
    assert replied.body.endswith(b"data: [DONE]\n\n") if stream else replied.status == 503
    assert (server.admission.running, rail.engine.live_nodes()) == (0, 0)
    assert (await ask(app_of(server), CHAT, chat())).headers["retry-after"] == "5"
