"""What every endpoint shares: who asks, what stands in the body, the answer, and how a stream or a fault is told."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from ig_guardrail.errors import GuardrailError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.options import CallOptions
from ig_guardrail.integrations.openai_server.answering import Question, answer, read_options
from ig_guardrail.integrations.openai_server.callers import Caller
from ig_guardrail.integrations.openai_server.config import ServeConfig
from ig_guardrail.integrations.openai_server.events import Told
from ig_guardrail.integrations.openai_server.faults import Fault, Refused, fault_of, unfit
from ig_guardrail.integrations.openai_server.served import ServedModel, served_by
from ig_guardrail.integrations.openai_server.sse import HELD, told_fault, with_comments

LOG = logging.getLogger(__name__)
IGNORED = "x-ig-guardrail-ignored"  # the header that names the fields that were passed over
HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a character, which may lack the other
GONE = 499  # nobody is there to read this status; it is for the log

Result = TypeVar("Result")
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A question that will be answered: by which guardrail, and with which options."""

    guardrail: Guardrail
    question: Question
    options: CallOptions

    @property
    def fingerprint(self) -> str:
        """Names weights and policy."""
        named = f"{self.guardrail.engine.info.model_sha256} {self.guardrail.policy.sha256}"
        return f"fp_{sha256(named.encode()).hexdigest()[:12]}"

    def events(self) -> AsyncGenerator[Told, None]:
        """The events of its answers."""
        return answer(self.guardrail, self.question, self.options)


class Server:
    """One model, behind the endpoints that share it."""

    def __init__(self, config: ServeConfig, served: ServedModel | None = None) -> None:
        """served: a model of the host's own, in place of the one that the config names"""
        self.config = config
        self.served = served or served_by(config.served_name, config.spec, config.policies)
        self.started = int(time.time())

    def caller(self, request: Request) -> Caller:
        """Who asks."""
        return Caller(self.served.policies)

    async def body(self, request: Request) -> Mapping[str, Any]:
        """The JSON object of a request. Raises Refused for anything else, and for one that is too large."""
        read = bytearray()
        async for piece in request.stream():
            read += piece
            if len(read) > self.config.body_bytes:
                raise unfit(f"the body has more than {self.config.body_bytes} bytes", None, "body_too_large", 413)
        return read_object(bytes(read))

    async def open(self, caller: Caller, question: Question) -> Opened:
        """What answers a caller's question. Raises Refused and RequestError for what cannot be served."""
        policy = self.served.policy_for(caller, question.model, question.policy)
        options = read_options(question, caller.tenant, caller.seconds)
        if options.max_tokens * options.n > caller.tokens:
            raise unfit(f"at most {caller.tokens} tokens may be asked for, over all answers", "max_tokens")
        guardrail = await self.served.guardrail(policy, question.conversation, caller.tenant)
        return Opened(guardrail, question, options)

    async def streamed(
        self,
        frames: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        told: Callable[[Fault], bytes] = told_fault,
        held: Callable[[], bytes] = lambda: HELD,
        request: Request | None = None,
    ) -> Response:
        """A stream of events. What fails before the first of them, and soon, is told by the status; else by an event.

        told: a fault as the wire ends with one
        held: what is sent while nothing is shown
        request: whose caller may leave before the first event
        """
        pieces = with_comments(frames, self.config.quiet, held)
        first = await (anext(pieces) if request is None else unless_left(anext(pieces), request))

        async def rest() -> AsyncGenerator[bytes, None]:
            async with aclosing(pieces):
                try:
                    yield first
                    async for piece in pieces:
                        yield piece
                except Exception as error:
                    yield told(noted(error))

        return StreamingResponse(rest(), media_type="text/event-stream", headers=dict(headers))


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises Refused for anything else, and for texts that are no Unicode."""
    try:
        found = json.loads(body.decode(), parse_constant=_no_number)
        if HALF.search(body):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise unfit("the body is no JSON in UTF-8", None, "invalid_json") from None
    if not isinstance(found, dict):
        raise unfit("the body is no JSON object", None, "invalid_json")
    return found


def _no_number(name: str) -> None:
    raise ValueError(name)


async def all_of(told: AsyncGenerator[Told, None], request: Request) -> list[Told]:
    """All events; the answer is cancelled where its caller leaves."""
    async with aclosing(told):
        return await unless_left(_gathered(told), request)


async def unless_left(work: Awaitable[Result], request: Request) -> Result:
    """What work comes to; it is cancelled where the caller leaves before. Raises Refused then."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Refused(Fault(GONE, "invalid_request_error", "client_left", "the caller left"))
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gathered(told: AsyncGenerator[Told, None]) -> list[Told]:
    return [one async for one in told]


async def _left(request: Request) -> None:
    """Returns when the caller is gone; the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def headers_of(ignored: tuple[str, ...]) -> dict[str, str]:
    return {IGNORED: ", ".join(ignored)} if ignored else {}


def told(endpoint: Endpoint, form: Callable[[Fault], Mapping[str, Any]] = attrgetter("body")) -> Endpoint:
    """The endpoint, with its errors told as OpenAI's API tells them, or in a form of its own; and the request named."""

    async def tell(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except Exception as error:
            fault = noted(error)
            retry = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            response = JSONResponse(form(fault), fault.status, headers=retry)
        response.headers["x-request-id"] = request.headers.get("x-request-id", "")[:200] or f"req_{uuid4().hex}"
        return response

    return tell


def noted(error: Exception) -> Fault:
    """What a caller is told of an error; those that are not his are logged, by their own words alone."""
    fault = fault_of(error)
    if fault.status >= 500:
        known = isinstance(error, GuardrailError)
        LOG.error("request failed: %s", error if known else type(error).__name__, exc_info=None if known else error)
    return fault
