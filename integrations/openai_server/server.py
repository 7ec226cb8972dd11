"""What every endpoint shares: who asks, what stands in the body, the answer, and how a stream or a fault is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import sha256
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from ig_guardrail.drive.request import check_size
from ig_guardrail.drive.telling import are_told
from ig_guardrail.errors import GuardrailError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.options import FORM, CallOptions
from ig_guardrail.integrations.openai_server.access.admission import Admission
from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.access.keys import Keys, presented
from ig_guardrail.integrations.openai_server.access.local import demand_local
from ig_guardrail.integrations.openai_server.answering import Question, answer, prompt_tokens, read_options
from ig_guardrail.integrations.openai_server.events import End, RefusalStyle, Told
from ig_guardrail.integrations.openai_server.faults import GONE, Fault, Refused, fault_of, unfit
from ig_guardrail.integrations.openai_server.observing.account import Account, Asking
from ig_guardrail.integrations.openai_server.observing.metrics import Metrics
from ig_guardrail.integrations.openai_server.observing.spans import spans_if_any
from ig_guardrail.integrations.openai_server.observing.watching import account_of
from ig_guardrail.integrations.openai_server.served import ServedModel, served_by
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.integrations.openai_server.sse import HELD, UNHELD, told_fault, with_comments
from ig_guardrail.integrations.openai_server.stored import MemoryStore, ResponseStore
from ig_guardrail.integrations.openai_server.wires.reading import read_json

LOG = logging.getLogger(__name__)
IGNORED = "x-ig-guardrail-ignored"  # the header that names the fields that were passed over
MOST_NAMES, LONGEST_NAME = 32, 100  # in it, and characters of each
BODY_S = 30.0  # in which a request's body has to be there
LARGE = 100_000  # bytes of a body, from which reading it may take long
CALLER = "ig_guardrail.caller"  # in the scope of a request, once it is known who asks
SESSION = "ig_guardrail.session"  # in the scope of a request that a front has handed on: what its conversation leads by
PASSED_OVER = "idempotency-key"  # a header: an answer that is drawn again is drawn, and charged, again
LEFT = Fault(GONE, "invalid_request_error", "client_left", "the caller left")
LATE = Fault(408, "server_error", "timeout", "the time for this request was over before its end")

Result = TypeVar("Result")
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
Form: TypeAlias = Callable[[Fault], Mapping[str, Any]]  # the body of a fault


@dataclass(frozen=True, slots=True)
class Opened:
    """A question that will be answered: by which guardrail, with which options, and for whom.

    deaf  whether it asks for an effort of thinking, and the model's chat template takes none such, or may not think
    """

    guardrail: Guardrail
    question: Question
    options: CallOptions
    caller: Caller
    admission: Admission
    account: Account
    deaf: bool

    @property
    def fingerprint(self) -> str:
        """Names weights and policy."""
        named = f"{self.guardrail.engine.info.model_sha256} {self.guardrail.policy.sha256}"
        return f"fp_{sha256(named.encode()).hexdigest()[:12]}"

    def unheeded(self, effort: str) -> tuple[str, ...]:
        """What is asked for and not heeded: an effort, by this name, and the likeliest tokens, where the policy's cost
        models cannot judge each.
        """
        options = self.options
        told = options.strategy == "none" or are_told(self.guardrail.costs)
        return (*((effort,) if self.deaf else ()), *(("top_logprobs",) if options.top_logprobs and not told else ()))

    def prompt_tokens(self) -> int:
        """How many tokens the model would read. Nothing is decoded, and nothing charged."""
        return prompt_tokens(self.guardrail, self.question, self.options)

    def events(self) -> AsyncGenerator[Told, None]:
        """The events of its answers, as its caller may see them. Raises Refused past his time, or the server's."""
        answers = answer(self.guardrail, self.question, self.options)
        return self._shown(self.account.following(self.admission.until_over(answers)))

    async def frames(
        self, write: Callable[[Told], Iterable[bytes]], last: Callable[[], Iterable[bytes]] = tuple
    ) -> AsyncGenerator[bytes, None]:
        """The events as a wire writes them, and what it writes behind them."""
        async with aclosing(self.events()) as events:
            async for one in events:
                for piece in write(one):
                    yield piece
        for piece in last():
            yield piece

    async def _shown(self, told: AsyncGenerator[Told, None]) -> AsyncGenerator[Told, None]:
        late = False
        async with aclosing(told):
            async for one in told:
                event = one.event
                if isinstance(event, End):
                    if event.outcome == "cancelled":
                        late = True
                        continue
                    event = replace(event, receipt=self.caller.shown(event.receipt))
                yield Told(one.choice, event)
        if late:
            raise Refused(LATE)


def responses_for(config: ServeConfig) -> ResponseStore:
    """Where responses are kept. Nothing is opened yet. Raises GuardrailError for a database that cannot be named."""
    database = config.responses_in
    if database is None:
        return MemoryStore(config.stored)
    from ig_guardrail.integrations.openai_server.stored_postgres import PostgresStore

    return PostgresStore(database, config.stored)


class Server:
    """One model, behind the endpoints that share it."""

    def __init__(self, config: ServeConfig, served: ServedModel | None = None) -> None:
        """served: a model of the host's own, in place of the one that the config names"""
        self.config = config
        self.served = served or served_by(config.served_name, config.spec, config.policies, config.canaries)
        self.started = int(time.time())
        limits = config.limits
        self.admission = Admission(limits.at_once, limits.queue, limits.wait)
        self.anyone = Caller(self.served.policies, seconds=limits.seconds, tokens=limits.tokens, answers=limits.answers)
        self.keys = None if config.keys is None else Keys(config.keys, self.anyone)
        self.metrics = Metrics(lambda: self.admission.waiting, config.observe.tenants)
        self.responses = responses_for(config)
        self.spans = spans_if_any(config.observe.traces, config.observe.conventions)

    def caller(self, request: Request) -> Caller:
        """Who asks. Raises Refused for who has no key, where there are keys."""
        found: Caller | None = request.scope.get(CALLER)
        return found or self._told_by(request)

    async def identify(self, request: Request) -> Caller:
        """Who asks, by the file of keys as it stands now; noted with the request. Raises Refused as `caller` does."""
        if self.keys is not None and self.keys.stale:
            await asyncio.to_thread(self.keys.look)
        request.scope[CALLER] = caller = self._told_by(request)
        return caller

    def _told_by(self, request: Request) -> Caller:
        if self.keys is None:
            if self.config.local:
                demand_local(request.headers)
            return self.anyone
        headers = {name: request.headers.getlist(name) for name in ("authorization", "x-api-key")}
        return self.keys.caller(presented(headers))

    def style_for(self, caller: Caller) -> RefusalStyle:
        """How a caller is told of a refusal."""
        return caller.refusal_style or self.config.refusal_style

    async def asked(self, request: Request, read: Callable[[Mapping[str, Any]], Result]) -> Result:
        """What the body of a request asks, as its wire reads it; nobody else waits while a large one is read.

        Raises Refused for what is no JSON object, for a body that is too large or too slow, and what `read` raises.
        """
        body = await read_bytes(request, self.config.limits.body_bytes)
        return await beside(len(body) > LARGE, lambda: read(read_object(body)))

    async def open(self, caller: Caller, question: Question, request: Request) -> Opened:
        """What answers a caller's question. Raises Refused and RequestError for what cannot be served."""
        policy = self.served.policy_for(caller, question.model, question.policy)
        shaped = any(name in question.options for name in FORM)
        options = await beside(shaped, lambda: read_options(question, caller.tenant, caller.seconds))
        if options.max_tokens * options.n > caller.tokens:
            raise unfit(f"at most {caller.tokens} tokens may be asked for, over all answers", "max_tokens")
        if options.n > caller.answers:
            raise unfit(f"at most {caller.answers} answers may be asked for", "n")
        guardrail = await self.served.guardrail(policy, question.conversation, caller.tenant)
        heard = () if options.reasoning == "off" else guardrail.engine.info.efforts
        deaf = options.reasoning_effort not in (None, *heard)
        options = options.model_copy(update={"reasoning_effort": None}) if deaf else options
        check_size(len(question.messages), 0, guardrail.limits)
        account = account_of(request)
        texts = question.messages if self.spans is not None and self.spans.texts else ()
        account.asking = Asking(question.model, policy, guardrail.policy.sha256, options, texts)
        return Opened(guardrail, question, options, caller, self.admission, account, deaf)

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

        return EventStream(rest(), pieces, headers)


class EventStream(StreamingResponse):
    """A stream of events, closed before the request counts as served, also where its caller left or it never began."""

    def __init__(
        self, sent: AsyncGenerator[bytes, None], pieces: AsyncGenerator[bytes, None], headers: Mapping[str, str]
    ) -> None:
        super().__init__(sent, media_type="text/event-stream", headers={**UNHELD, **headers})
        self._sent, self._pieces = sent, pieces

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces), aclosing(self._sent):
            await super().__call__(scope, receive, send)


async def beside(long: bool, work: Callable[[], Result]) -> Result:
    """What work comes to; where it may be long, on a thread beside the event loop, which serves others meanwhile."""
    return await asyncio.to_thread(work) if long else work()


async def read_bytes(request: Request, most: int) -> bytes:
    """The body of a request. Raises Refused for one that is too large, too slow or packed, or whose caller leaves."""
    packed = request.headers.get("content-encoding", "identity").lower()
    if packed != "identity":
        raise unfit(f"bodies are read as they are, and this one is packed by {packed:.40}", None, "packed_body", 415)
    read = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.stream():
                read += piece
                if len(read) > most:
                    raise unfit(f"the body has more than {most} bytes", None, "body_too_large", 413)
    except TimeoutError:
        raise unfit(f"the body was not there within {BODY_S:g} s", None, "body_too_slow", 408) from None
    except ClientDisconnect:
        raise Refused(LEFT) from None
    return bytes(read)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises Refused for anything else, and for texts that are no Unicode."""
    try:
        found = read_json(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise unfit("the body is no text in UTF-8", None, "invalid_json") from None
    except ValueError as error:
        raise unfit(f"the body is no JSON: {error}", None, "invalid_json") from None
    if not isinstance(found, dict):
        raise unfit("the body is no JSON object", None, "invalid_json")
    return found


async def all_of(told: AsyncGenerator[Told, None], request: Request) -> list[Told]:
    """All events; the answer is cancelled where its caller leaves."""
    async with aclosing(told):
        return await unless_left(_gathered(told), request)


async def unless_left(work: Awaitable[Result], request: Request) -> Result:
    """What work comes to; it is cancelled where the caller leaves before. Raises Refused then."""
    return await unless(_left(request), work)


async def unless(left: Awaitable[None], work: Awaitable[Result]) -> Result:
    """The same. left: what returns when the caller is gone"""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(left)
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Refused(LEFT)
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
    """Names of what was passed over, which a caller may have chosen: as a header can carry them, and so many."""
    names = list(dict.fromkeys(map(_as_header, ignored)))
    told = names[:MOST_NAMES] + ([f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else [])
    return {IGNORED: ", ".join(told)} if told else {}


def _as_header(name: str) -> str:
    return "".join(one if one.isascii() and one.isprintable() else ascii(one)[1:-1] for one in name[:LONGEST_NAME])


def told(endpoint: Endpoint, form: Form = attrgetter("body")) -> Endpoint:
    """The endpoint, with its errors told as OpenAI's API tells them, or in a form of its own."""

    async def tell(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except Exception as error:
            response = told_by_status(noted(error), form)
        if PASSED_OVER in request.headers:
            response.headers[IGNORED] = ", ".join(filter(None, (response.headers.get(IGNORED), PASSED_OVER)))
        return response

    return tell


def told_by_status(fault: Fault, form: Form = attrgetter("body")) -> Response:
    """A fault, where nothing was sent before."""
    headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
    headers |= {"www-authenticate": "Bearer"} if fault.status == 401 else {}
    headers |= {"accept-encoding": "identity"} if fault.status == 415 else {}
    headers |= {"x-should-retry": "false"} if fault.status == 408 else {}  # what took all of its time would do so again
    return JSONResponse(form(fault), fault.status, headers=headers)


def noted(error: Exception) -> Fault:
    """What a caller is told of an error; those that are not his are logged, by their own words alone."""
    fault = fault_of(error)
    if fault.status >= 500:
        known = isinstance(error, GuardrailError)
        LOG.error("request failed: %s", error if known else type(error).__name__, exc_info=None if known else error)
    return fault
