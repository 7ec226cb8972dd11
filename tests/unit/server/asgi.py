"""Asks an application without a socket: one call of it, its body, and a caller who may leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ig_guardrail.integrations.openai_server.access.keys import KeyEntry, append, new_key, written
from ig_guardrail.integrations.openai_server.app import make_app
from ig_guardrail.integrations.openai_server.served import ServedModel
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.spec import GuardrailSpec
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy

CHAT = "/v1/chat/completions"
Headers = Sequence[tuple[str, str]]


@dataclass
class Replied:
    """What came of a request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of a stream."""
        lines = [line.removeprefix("data: ") for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]


async def ask(
    app: Callable[..., Awaitable[None]],
    path: str = CHAT,
    body: Any = None,
    headers: Headers = (),
    method: str = "POST",
    query: str = "",
    leave_after: int | None = None,
) -> Replied:
    """One request. leave_after: the caller leaves when so many messages were sent to him; -1: when his body was read"""
    replied, left, sent = Replied(), asyncio.Event(), 0
    waiting = [{"type": "http.request", "body": json.dumps(body).encode() if body is not None else b""}]
    if leave_after == 0:
        left.set()

    async def receive() -> dict[str, Any]:
        if waiting and not left.is_set():
            if leave_after == -1:
                left.set()
            return waiting.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal sent
        if message["type"] == "http.response.start":
            replied.status = message["status"]
            replied.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            replied.body += message["body"]
            replied.pieces += 1
        sent += 1
        if leave_after is not None and sent >= leave_after:
            left.set()
        await asyncio.sleep(0)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            (name.lower().encode(), value.encode("latin-1")) for name, value in (("host", "localhost"), *headers)
        ],
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "client": ("test", 1),
        "server": ("test", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    await app(scope, receive, send)
    return replied


def toy_rail(
    ledger: Any = None, weights: Sequence[float] = (1, 0, 0.05), scopes: Sequence[str] = (), budget: float = 1.0
) -> Any:
    """A guardrail over letters, of which b costs: under a budget an answer, or under those of some scopes."""
    shared = [toy_budget(f"per-{scope}", scope=scope, budget=budget) for scope in scopes]
    policy = toy_policy(shared or [toy_budget("few-b")])
    return guardrail(letters(weights), policy, {"level": LetterCost("level")}, ledger=ledger)


def server_over(rails: dict[str, Any], keys: Path | None = None, **settings: Any) -> Server:
    """A server over guardrails that are open."""
    config = ServeConfig(GuardrailSpec(), {name: name for name in rails}, "toy", keys=keys, **settings)
    server = Server(config, ServedModel("toy", rails))
    server.served.ready = True
    return server


def app_of(server: Server) -> Any:
    return make_app(server)


def key_in(file: Path, **said: Any) -> str:
    """A new key of a file, for a tenant."""
    key = new_key()
    append(file, written(key, KeyEntry(**said)))
    return key


def bearer(key: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {key}"


def chat(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "toy", "messages": [{"role": "user", "content": text}], "seed": 3, "max_tokens": 8, **fields}
