"""Watches every request that the application serves: its reply names it, and it is told of when it is over."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ig_guardrail.integrations.openai_server.observing.account import Account
from ig_guardrail.integrations.openai_server.observing.lines import log_request
from ig_guardrail.integrations.openai_server.observing.metrics import Metrics
from ig_guardrail.integrations.openai_server.observing.spans import Spans

UNWATCHED = frozenset({"/health", "/ready", "/metrics"})  # asked for again and again by machines
ACCOUNT = "account"  # in a request's state
NAMED_BY = ("x-request-id", "request-id")  # headers of replies that clients of OpenAI and of Anthropic look at
NAME = re.compile(r"[!-~]{1,200}")  # of a request, as its caller may choose it: it stands in lines of the log


def account_of(request: Request) -> Account:
    """The account of a request."""
    account: Account = request.scope.setdefault("state", {}).setdefault(ACCOUNT, Account())
    return account


class Watching:
    """ASGI: the application, and an account of each of its requests. metrics and spans are told when one is over."""

    def __init__(self, app: ASGIApp, routes: Sequence[Any], metrics: Metrics, spans: Spans | None) -> None:
        self._app = app
        self._paths: Mapping[Any, str] = {one.endpoint: one.path for one in routes if isinstance(one, Route)}
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"] if self._spans is not None else ()
        account = Account(
            scope["method"],
            headers={name.decode("latin-1"): text.decode("latin-1") for name, text in headers},
            id=_name_of(Request(scope)),
        )
        scope.setdefault("state", {})[ACCOUNT] = account

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                account.status = message["status"]
                MutableHeaders(scope=message).update(dict.fromkeys(NAMED_BY, account.id))
            await send(message)

        if scope["path"] in UNWATCHED:
            await self._app(scope, receive, tell)
            return
        self._metrics.begin(account)
        try:
            await self._app(scope, receive, tell)
        finally:
            account.endpoint = self._paths.get(scope.get("endpoint"), "other")
            account.seconds = time.monotonic() - account.began
            self._metrics.end(account)
            log_request(account)
            if self._spans is not None:
                self._spans.record(account)


def _name_of(request: Request) -> str:
    """The caller's own name for a request, where it is one that a line can hold; else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if NAME.fullmatch(given) else f"req_{uuid4().hex}"
