"""The front: it reads requests, finds out whose they are, and hands each to a replica, whose answer it passes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ig_guardrail.integrations.openai_server.access.admission import STOPPING
from ig_guardrail.integrations.openai_server.access.local import NOT_LOCAL
from ig_guardrail.integrations.openai_server.app import GUARDED, tell
from ig_guardrail.integrations.openai_server.endpoints import metrics
from ig_guardrail.integrations.openai_server.faults import Fault, Refused
from ig_guardrail.integrations.openai_server.listening import is_loopback
from ig_guardrail.integrations.openai_server.server import SESSION, Server, noted, read_bytes, told
from ig_guardrail.integrations.openai_server.serving import FAREWELL_S
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.integrations.openai_server.sse import frame, told_fault
from ig_guardrail.integrations.openai_server.wires import messages_writer
from ig_guardrail.integrations.ray_serve.affinity import conversation_of
from ig_guardrail.integrations.ray_serve.gathering import registry_of

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

Result = TypeVar("Result")
LOG = logging.getLogger(__name__)
SENT_ON = (
    "type",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "client",
    "server",
)
TOLD_S = 3.0  # in which replicas tell their metrics
LOST = Fault(503, "server_error", "replica_lost", "what answered this request is gone; ask again", None, retry_after=1)


def _event(fault: Fault) -> bytes:
    return frame({"type": "error", **fault.body["error"], "sequence_number": 0}, "error")


ENDS: Mapping[str, Callable[[Fault], bytes]] = {  # how a stream tells that it breaks off, where not as chats do
    "/v1/messages": messages_writer.told_fault,
    "/v1/responses": _event,
}


class Front:
    """An ASGI application that answers by replicas."""

    def __init__(self, config: ServeConfig, replicas: DeploymentHandle) -> None:
        self._server = Server(config)  # for its keys and limits; its models are never opened
        self._replicas = replicas.options(stream=True)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await _live(receive, send)
            elif scope["type"] == "http":
                self._running += 1
                self._idle.clear()
                try:
                    await self.serve(scope, receive, send)
                finally:
                    self._running -= 1
                    if not self._running:
                        self._idle.set()

        return app

    async def drain(self) -> None:
        """Serve nothing new, and end what runs within the time to drain; nothing runs when it is over.

        Until then replicas are needed: also a request whose body is read yet was let in.
        """
        seconds = self._server.config.drain
        LOG.warning("stopping: requests have %g s to end", seconds)
        self._server.admission.drain(seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds + FAREWELL_S):
                await self._idle.wait()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        if (scope["path"], scope["method"]) == (metrics.PATH, "GET") and self._server.config.observe.metrics:
            await (await told(self._tell_metrics)(request))(scope, receive, send)
            return
        try:
            if self._server.admission.draining:
                raise Refused(STOPPING)
            tenant = await self._tenant(request) if scope["path"].startswith(GUARDED) else None
            body = await read_bytes(request, self._server.config.limits.body_bytes)
        except Exception as error:
            await tell(noted(error), scope, receive, send)
            return
        sent_on = {name: scope[name] for name in SENT_ON if name in scope}
        conversation = conversation_of(tenant, body)
        handle = self._replicas
        if conversation:
            sent_on[SESSION] = conversation
            handle = handle.options(session_id=conversation)
        for last in (False, True):
            answer = self._server.admission.until_over(_messages(handle.answer.remote(sent_on, body)))
            if await self._passed_on(answer, last, scope, receive, send):
                return

    async def _tell_metrics(self, request: Request) -> Response:
        """The metrics of all replicas; those of one that does not tell them in time are left out."""
        metrics.demand_key(request, self._server.config.observe.metrics_key)
        answers = self._replicas.options(stream=False).broadcast("tell_metrics")
        answered = await answers.results_async(timeout_s=TOLD_S, return_exceptions=True)
        return metrics.exposed(request, registry_of(dict(one for one in answered if isinstance(one, tuple))))

    async def _tenant(self, request: Request) -> str | None:
        """Whose request it is. Raises Refused; without keys also for one from elsewhere, since Ray may listen there."""
        if self._server.config.local and (request.client is None or not is_loopback(request.client.host)):
            raise Refused(NOT_LOCAL)
        return (await self._server.identify(request)).tenant

    async def _passed_on(
        self, answer: AsyncGenerator[list[Message], None], last: bool, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Send what the replica sends, until its end, or its caller leaves. What breaks off is told of.

        last: whether no other replica is asked where this one is lost before it sent anything; else that is False.
        What was charged meanwhile is charged again
        """
        begun: Message | None = None
        leaving = asyncio.ensure_future(_left(receive))
        try:
            async with aclosing(answer):
                while (messages := await _unless(leaving, anext(answer, None))) is not None:
                    for one in messages:
                        begun = begun or one
                        await send(_unnamed(one))
        except Exception as error:
            fault = error.fault if isinstance(error, Refused) else LOST
            LOG.error("an answer broke off: %s", type(error).__name__)
            if begun is None and fault is LOST and not last:
                return False
            if begun is None:
                await tell(fault, scope, receive, send)
            elif _streams(begun):
                end = ENDS.get(scope["path"], told_fault)(fault)
                await send({"type": "http.response.body", "body": end, "more_body": False})
            else:
                raise
        finally:
            leaving.cancel()
        return True


async def _messages(answer: DeploymentResponseGenerator[list[Message]]) -> AsyncGenerator[list[Message], None]:
    try:
        async for messages in answer:
            yield messages
    finally:
        answer.cancel()


def _unnamed(message: Message) -> Message:
    """Without the name of the request, which Ray's proxy writes too."""
    headers = [(name, value) for name, value in message.get("headers", ()) if name != b"x-request-id"]
    return {**message, "headers": headers} if "headers" in message else message


async def _live(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


async def _unless(other: asyncio.Future[None], work: Awaitable[Result]) -> Result | None:
    """What work comes to; None, and it is cancelled, where the other comes first."""
    working: asyncio.Future[Result] = asyncio.ensure_future(work)
    waited: set[asyncio.Future[Any]] = {working, other}
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _streams(begun: Message) -> bool:
    headers = dict(begun.get("headers", ()))
    return bytes(headers.get(b"content-type", b"")).startswith(b"text/event-stream")
