"""The ASGI application: the routes of all endpoints, and what is opened before the first request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ig_guardrail.integrations.openai_server.endpoints import chat_completions, judging, messages, models, responses
from ig_guardrail.integrations.openai_server.faults import Fault
from ig_guardrail.integrations.openai_server.server import Server

ENDPOINTS = (models.routes, chat_completions.routes, responses.routes, messages.routes, judging.routes)


def make_app(server: Server) -> Starlette:
    """The application. Models are opened when it starts; it serves nothing before."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(server.served.open)
        yield
        await asyncio.to_thread(server.served.flush)

    routes = [route for endpoint in ENDPOINTS for route in endpoint(server)]
    return Starlette(routes=routes, exception_handlers={HTTPException: _tell_http}, lifespan=lifespan)


async def _tell_http(request: Request, error: Exception) -> Response:
    """Of a path or a method that there is not."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = {404: f"there is no {request.url.path:.200}", 405: f"{request.method} is not for {request.url.path:.200}"}
    fault = Fault(status, "invalid_request_error", None, what.get(status, "the request cannot be served"))
    return JSONResponse(fault.body, status)
