"""The server as `ig-guardrail serve` runs it, in a process of its own, with a route that tells what it holds.

    python benchmarks/serving/host.py SOCKET

Policies: `calm` is the packaged default with thresholds that no score can pass, so that answers are as long as asked;
`endless` says one word again and again, without a model, as fast as it is taken.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from typing import Any

import psutil
import torch
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

sys.path.insert(0, str(Path(__file__).parents[1]))

from speed.stage import open_stage, origin_of, unhindered

from ig_guardrail.assembly import guard
from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.loading.weights import vocabulary_of
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.integrations.openai_server.app import make_app
from ig_guardrail.integrations.openai_server.served import ServedModel
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.policy import load_policy
from ig_guardrail.spec import GuardrailSpec

MODEL = "embedded"
HELD = "/held"
TICK_S = 0.002
WORDS = 60_000  # of the endless answer
PATTERNS = Path(__file__).parents[1] / "policies" / "asked.yaml"


class Sent:
    """ASGI: counts the bytes of bodies that the server took off the application's hands."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.total = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def count(message: Message) -> None:
            await send(message)
            self.total += 0 if scope.get("path") == HELD else len(message.get("body", b""))

        await self.app(scope, receive, count)


async def serve(socket: str) -> None:
    stage = open_stage()
    calm = guard(stage.engine, unhindered(stage.policy, hold=stage.policy.search.hold))
    endless = ScriptedEngine(Continuations({(0, 0): "again " * WORDS}), context=2 * WORDS)
    guardrails = {"calm": calm, "endless": guard(endless, load_policy(PATTERNS))}
    config = ServeConfig(GuardrailSpec(), {name: name for name in guardrails}, MODEL)
    app = make_app(Server(config, ServedModel(MODEL, guardrails)))
    engines: tuple[Engine, ...] = (stage.engine, endless)
    late: deque[float] = deque(maxlen=100_000)
    sent = Sent(app)

    async def tell(request: Request) -> JSONResponse:
        found = _held(engines, late, sent)
        late.clear()
        return JSONResponse(found)

    app.router.routes.append(Route(HELD, tell))
    ticking = asyncio.create_task(_tick(late))
    process = uvicorn.Server(
        uvicorn.Config(sent, uds=socket, log_level="error", access_log=False, timeout_graceful_shutdown=2)
    )
    started = asyncio.create_task(process.serve())
    while not process.started and not started.done():
        await asyncio.sleep(0.01)
    told = {"origin": origin_of(stage), "ends": sorted(vocabulary_of(stage.weights).end)}
    print(json.dumps(told), flush=True)
    await started
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking


def _held(engines: tuple[Engine, ...], late: deque[float], sent: Sent) -> dict[str, Any]:
    own = psutil.Process()
    return {
        "cpu": sum(own.cpu_times()[:2]),
        "rss": own.memory_info().rss,
        "nodes": sum(engine.live_nodes() for engine in engines),
        "tasks": len(asyncio.all_tasks()),
        "threads": own.num_threads(),
        "late_p99_ms": 1000 * quantiles(late, n=100)[98] if len(late) > 1 else None,
        "sent": sent.total,
    }


async def _tick(late: deque[float]) -> None:
    while True:
        due = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(time.perf_counter() - due)


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    asyncio.run(serve(sys.argv[1]))
