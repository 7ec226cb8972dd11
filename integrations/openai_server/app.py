"""The ASGI application: the routes of all endpoints, who may reach them, and what is opened before it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.access.line import Line
from ig_guardrail.integrations.openai_server.access.local import demand_local
from ig_guardrail.integrations.openai_server.endpoints import (
    chat_completions,
    health,
    judging,
    messages,
    metrics,
    models,
    responses,
)
from ig_guardrail.integrations.openai_server.faults import Fault, Refused
from ig_guardrail.integrations.openai_server.observing.lag import watch_lag
from ig_guardrail.integrations.openai_server.observing.watching import Watching
from ig_guardrail.integrations.openai_server.server import LATE, Form, Server, told_by_status, unless
from ig_guardrail.integrations.openai_server.wires.messages import error_body

LOG = logging.getLogger(__name__)
ENDPOINTS = (
    *(models.routes, chat_completions.routes, responses.routes, messages.routes, judging.routes),
    *(health.routes, metrics.routes),
)
GUARDED = "/v1/"  # what lies below is served to those with a key
CANCEL = "/cancel"  # the end of a path that frees a slot
SENT_S = 15.0  # beyond a request's own seconds, in which its answer has to be taken
ANTHROPICS = "/v1/messages"  # the beginning of paths whose errors have Anthropic's form


def make_app(server: Server) -> Starlette:
    """The application. Models are opened when it starts; it serves nothing before."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(server.served.open)
        lag = asyncio.create_task(watch_lag(server.metrics.late))
        yield
        lag.cancel()
        await asyncio.to_thread(server.served.flush)

    routes = [route for endpoint in ENDPOINTS for route in endpoint(server)]
    watching = Middleware(Watching, routes=routes, metrics=server.metrics, spans=server.spans)
    app = Starlette(
        routes=routes,
        middleware=[watching, Middleware(Gatekeeper, server)],
        exception_handlers={HTTPException: _tell_http},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # to an address as it is here, which is none behind a proxy that speaks TLS
    return app


class Gatekeeper:
    """Lets a request in: its key is known, and there is a slot for it, which is free again whichever way it ends.

    A caller who leaves while he waits for a slot waits no longer.
    """

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app, self._server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await self._served_to_all(scope, receive, send)
            return
        admission, line = self._server.admission, Line(receive)
        takes_slot = scope["method"] == "POST" and not scope["path"].endswith(CANCEL)
        try:
            caller = await self._server.identify(Request(scope))
            if takes_slot:
                await self._enter(caller, line)
        except Refused as refused:
            await tell(refused.fault, scope, receive, send)
            return
        try:
            await self._in_time(caller, scope, line.receive, send)
        finally:
            if takes_slot:
                admission.leave(caller)

    async def _served_to_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What asks for no key; without any, a page of another site is not served this either."""
        try:
            if scope["type"] == "http" and self._server.config.local:
                demand_local(Request(scope).headers)
        except Refused as refused:
            await tell(refused.fault, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _enter(self, caller: Caller, line: Line) -> None:
        """Wait for a slot, for as long as the caller does. Raises Refused where he leaves, or there is none."""
        entering = asyncio.ensure_future(self._server.admission.enter(caller))
        try:
            await unless(line.left(), entering)
        except BaseException:
            if entering.done() and not entering.cancelled() and entering.exception() is None:
                self._server.admission.leave(caller)  # its turn came as this request was ended
            raise

    async def _in_time(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it, and end it where its answer is not taken: past its time it would hold memory for nobody.

        One that was not begun by then is told so; a host that slept, or one long step of the model, may lead to that.
        """
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(None if caller.seconds is None else caller.seconds + SENT_S) as limit:
                await self._app(scope, receive, sent)
        except TimeoutError:
            if not limit.expired():
                raise
            what = "taken" if begun else "begun"
            LOG.warning("a request of key '%s' was ended: its answer was not %s in time", caller.key, what)
            if not begun:
                await tell(LATE, scope, receive, send)


async def tell(fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    """Of a request that no endpoint answers, in the form of its path."""
    await told_by_status(fault, form_for(scope["path"]))(scope, receive, send)


def form_for(path: str) -> Form:
    """The form of a path's errors."""
    return error_body if path.startswith(ANTHROPICS) else attrgetter("body")


async def _tell_http(request: Request, error: Exception) -> Response:
    """Of a path or a method that there is not."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path
    there = {getattr(route, "path", None) for route in request.app.routes}
    misled = path not in there and not there.isdisjoint((f"/v1{path}", path.removeprefix("/v1")))
    ended = path.rstrip("/") in there - {path}
    hint = "; a client's base URL ends in /v1, once" if misled else "; leave out the slash at its end" if ended else ""
    what = {404: f"there is no {path:.200}{hint}", 405: f"{request.method} is not for {path:.200}"}
    fault = Fault(status, "invalid_request_error", None, what.get(status, "the request cannot be served"))
    headers = error.headers if isinstance(error, HTTPException) else None  # which methods there are instead
    return JSONResponse(form_for(path)(fault), status, headers=headers)
