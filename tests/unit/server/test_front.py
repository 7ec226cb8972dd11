"""The front of replicas, tried without Ray: what it lets in, whom it asks, and what it tells of those that are lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ig_guardrail.integrations.openai_server.observing.metrics import Metrics
from ig_guardrail.integrations.openai_server.observing.settings import ObserveConfig
from ig_guardrail.integrations.openai_server.server import SESSION
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig, ServeLimits
from ig_guardrail.integrations.ray_serve.front import Front
from ig_guardrail.spec import GuardrailSpec
from tests.unit.server.asgi import CHAT, Replied, ask, bearer, key_in

ASKED = {"messages": [{"role": "user", "content": "Hello."}]}
BEGUN = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-request-id", b"r")],
}
WORDS = {"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True}
END = {"type": "http.response.body", "body": b"", "more_body": False}


class Lost(Exception):
    """As Ray tells of a replica that died."""


@dataclass
class Replicas:
    """In place of Ray's handle: what each request in turn is answered by; an error is raised, an event waited for."""

    answers: list[list[Any]]
    asked: list[tuple[str | None, Any, bytes]] = field(default_factory=list)
    cancelled: int = 0
    session: str | None = None
    told: tuple[Any, ...] = ()

    def options(self, session_id: str | None = None, **_: Any) -> Any:
        remote: Callable[[Any, bytes], Any] = lambda scope, body: self._answer(session_id, scope, body)  # noqa: E731
        return SimpleNamespace(
            options=self.options,
            answer=SimpleNamespace(remote=remote),
            broadcast=lambda what: Broadcast(what, self.told),
        )

    def _answer(self, session: str | None, scope: Any, body: bytes) -> Any:
        self.asked.append((session, scope, body))
        return Answer(self, self.answers.pop(0))


@dataclass
class Broadcast:
    """What all replicas are asked, and what came of it."""

    what: str
    told: tuple[Any, ...]

    async def results_async(self, timeout_s: float, return_exceptions: bool) -> list[Any]:
        assert (self.what, return_exceptions) == ("tell_metrics", True)
        return list(self.told)


class Answer:
    """One replica's."""

    def __init__(self, replicas: Replicas, told: list[Any]) -> None:
        self._replicas, self._told = replicas, told

    async def __aiter__(self) -> AsyncIterator[Any]:
        for one in self._told:
            if isinstance(one, Exception):
                raise one
            if isinstance(one, asyncio.Event):
                await one.wait()
            else:
                yield [one]

    def cancel(self) -> None:
        self._replicas.cancelled += 1


def front(*answers: list[Any], **config: Any) -> tuple[Front, Replicas]:
    replicas = Replicas(list(answers))
    made: Any = Front(ServeConfig(GuardrailSpec(), {"default": "default"}, **config), replicas)  # type: ignore[arg-type]
    return made, replicas


async def asked_of(made: Front, path: str = CHAT, **more: Any) -> Replied:
    return await ask(coming_from("127.0.0.1", made), path, more.pop("body", ASKED), **more)


def coming_from(address: str, made: Front) -> Any:
    app = made.__serve_build_asgi_app__()

    async def come(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": (address, 5000)}, receive, send)

    return come


async def test_what_a_replica_says_is_passed_on() -> None:
    made, replicas = front([BEGUN, WORDS, END])
    replied = await asked_of(made)
    assert (replied.status, replied.body) == (200, b"data: {}\n\n")
    assert "x-request-id" not in replied.headers
    ((session, scope, body),) = replicas.asked
    assert session
    assert json.loads(body) == ASKED
    assert scope["path"] == CHAT


async def test_without_a_conversation_any_replica_is_asked() -> None:
    made, replicas = front([BEGUN, END])
    await asked_of(made, "/v1/models", method="GET", body=None)
    assert replicas.asked[0][0] is None


async def test_a_replica_that_is_lost_before_it_spoke_is_asked_for_by_another() -> None:
    made, replicas = front([Lost()], [BEGUN, WORDS, END])
    replied = await asked_of(made)
    assert (replied.status, replied.body, len(replicas.asked)) == (200, b"data: {}\n\n", 2)


async def test_two_lost_replicas_are_an_error() -> None:
    made, _ = front([Lost()], [Lost()])
    replied = await asked_of(made)
    assert (replied.status, replied.json["error"]["code"]) == (503, "replica_lost")
    assert replied.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("path", "event", "done"),
    [(CHAT, b"", True), ("/v1/messages", b"event: error\n", False), ("/v1/responses", b"event: error\n", False)],
)
async def test_a_replica_that_is_lost_in_mid_stream_ends_it_with_an_error(path: str, event: bytes, done: bool) -> None:
    made, replicas = front([BEGUN, WORDS, Lost()])
    replied = await asked_of(made, path)
    told = replied.body.removeprefix(b"data: {}\n\n")
    assert told.startswith(event + b"data: {")
    assert b"replica_lost" in told
    assert told.endswith(b"data: [DONE]\n\n") is done
    assert len(replicas.asked) == 1


async def test_a_caller_who_leaves_ends_the_answer() -> None:
    made, replicas = front([BEGUN, WORDS, asyncio.Event()])
    await asked_of(made, leave_after=2)
    assert replicas.cancelled == 1


async def test_a_front_that_drains_serves_nothing_new_and_ends_what_runs() -> None:
    made, replicas = front([BEGUN, WORDS, asyncio.Event()], drain=0.0)
    running = asyncio.create_task(asked_of(made))
    while not replicas.asked:
        await asyncio.sleep(0)
    await made.drain()
    assert (await asked_of(made)).json["error"]["code"] == "server_stopping"
    replied = await running
    assert b"server_stopping" in replied.body
    assert len(replicas.asked) == 1


async def test_a_front_has_drained_when_nothing_runs_and_refuses_until_then() -> None:
    """Replicas are told to stop behind that: a request that was let in finds them."""
    go_on = asyncio.Event()
    made, replicas = front([BEGUN, WORDS, go_on, END])
    running = asyncio.create_task(asked_of(made))
    while not replicas.asked:
        await asyncio.sleep(0)
    draining = asyncio.create_task(made.drain())
    await asyncio.sleep(0)
    refused = await asked_of(made)
    assert (refused.status, refused.json["error"]["code"], draining.done()) == (503, "server_stopping", False)
    go_on.set()
    await draining
    assert (await running).body == WORDS["body"]


async def test_a_front_where_nothing_runs_has_drained_at_once() -> None:
    made, _ = front()
    async with asyncio.timeout(1.0):
        await made.drain()
    assert (await asked_of(made)).json["error"]["code"] == "server_stopping"


async def test_keys_and_sizes_are_looked_at_before_a_replica_is_asked(tmp_path: Path) -> None:
    key = key_in(tmp_path / "keys.yaml", tenant="school")
    made, replicas = front([BEGUN, END], keys=tmp_path / "keys.yaml", limits=ServeLimits(body_bytes=100))
    assert (await asked_of(made)).status == 401
    headers = [("authorization", f"Bearer {key}")]
    assert (await asked_of(made, headers=headers, body={"input": "x" * 200})).status == 413
    assert replicas.asked == []
    assert (await asked_of(made, headers=headers)).status == 200


async def test_without_keys_a_caller_from_elsewhere_is_refused() -> None:
    made, replicas = front([BEGUN, END])
    replied = await ask(coming_from("10.0.0.7", made), CHAT, ASKED)
    assert (replied.status, replied.json["error"]["code"]) == (403, "not_local")
    assert replicas.asked == []


async def test_metrics_of_all_replicas_are_told_at_one_address() -> None:
    made, replicas = front()
    replicas.told = ("a", list(Metrics(lambda: 1).registry.collect())), Lost(), ("b", [])
    told = await asked_of(made, "/metrics", method="GET")
    assert told.status == 200
    assert "ig_guardrail_replicas 2.0" in told.body.decode()
    assert 'ig_guardrail_requests_waiting{replica="a"} 1.0' in told.body.decode()
    assert replicas.asked == []


async def test_metrics_of_all_replicas_ask_for_their_key() -> None:
    made, _ = front(observe=ObserveConfig(metrics_key=sha256(b"secret").hexdigest()))
    assert (await asked_of(made, "/metrics", method="GET")).status == 401
    assert (await asked_of(made, "/metrics", method="GET", headers=[bearer("secret")])).status == 200


async def test_a_replica_is_told_what_a_conversation_leads_by() -> None:
    made, replicas = front([BEGUN, END])
    await asked_of(made)
    ((session, scope, _),) = replicas.asked
    assert scope[SESSION] == session
