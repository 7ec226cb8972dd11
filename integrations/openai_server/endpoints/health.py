"""`GET /health`: the process lives. `GET /ready`: it can answer now. Neither needs a key, nor tells texts or names."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.errors import GuardrailError
from ig_guardrail.integrations.openai_server.server import Server

LOOK_S = 3.0  # for which ledger and audit log have time to answer


def routes(server: Server) -> list[Route]:
    """Of the server's health."""
    looking: list[asyncio.Future[dict[str, str]]] = []  # one look at a time, however many ask

    async def tell_health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def tell_ready(request: Request) -> Response:
        if not looking:
            looking.append(asyncio.ensure_future(asyncio.to_thread(checks_of, server)))
        look = looking[0]
        done, _ = await asyncio.wait([look], timeout=LOOK_S)
        if done and looking == [look]:
            looking.clear()
        return _told(server, look.result() if done else {"checks": "they take too long"})

    return [Route("/health", tell_health, methods=["GET"]), Route("/ready", tell_ready, methods=["GET"])]


def checks_of(server: Server) -> dict[str, str]:
    """By what was looked at, `ok` or what is wrong with it. Without the words of errors, which name paths."""
    if not server.served.ready:
        return {"models": "they are being opened"}
    told = {"models": "ok", "ledger": "ok", "audit": "ok"}
    for guardrail in server.served.guardrails():
        try:
            guardrail.ledger.turn("ready")
        except GuardrailError:
            told["ledger"] = "it cannot be read"
        if guardrail.auditor is not None:
            try:
                guardrail.auditor.log.check()
            except GuardrailError:
                told["audit"] = "no line can be written"
    return told


def _told(server: Server, checks: dict[str, str]) -> Response:
    checks = {**checks, "admission": "it is stopping"} if server.admission.draining else checks
    ready = all(told == "ok" for told in checks.values())
    faults = [f"policy '{name}': its file was changed, and is not in force" for name in server.served.faults()]
    if server.keys is not None and server.keys.fault is not None:
        faults.append("keys: their file was changed, and is not in force")
    body: dict[str, Any] = {"status": "ready" if ready else "not ready", "checks": checks, "faults": faults}
    return JSONResponse(body, 200 if ready else 503)
