"""The page and what it asks, behind a secret in its address. Nothing is served to whoever does not know it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ig_guardrail.integrations.openai_server.studio.endpoints import routes
from ig_guardrail.integrations.openai_server.studio.workshop import Workshop

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",  # the address holds the secret
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def make_studio(workshop: Workshop) -> ASGIApp:
    """The ASGI application: everything lies below `/TOKEN/`."""
    pages = [Route(f"/{name}", _page(name, content)) for name, content in _files().items()]
    home = Route("/", _page("index.html", _files()["index.html"]))
    return _Behind(workshop.config.token, Starlette(routes=[home, *pages, *routes(workshop)]))


def _files() -> dict[str, bytes]:
    folder = resources.files("ig_guardrail.integrations.openai_server.studio") / "static"
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rpartition(".")[2] in KINDS}


def _page(name: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        return Response(content, media_type=KINDS[name.rpartition(".")[2]])

    return show


class _Behind:
    """An application below a secret first part of its paths; all others are not found."""

    def __init__(self, token: str, app: ASGIApp) -> None:
        self._token, self._app = token.encode(), app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        first, slash, rest = scope["path"].removeprefix("/").partition("/")
        known = secrets.compare_digest(first.encode("utf-8", "surrogatepass"), self._token)
        app: Any = self._app if known and slash else PlainTextResponse("not found", 404)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app({**scope, "path": f"/{rest}"}, receive, answer)
