"""`POST /v1/responses`, whole or streamed, and those that are kept: an answer's conversation is its chain's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from langchain_core.messages import BaseMessage, SystemMessage
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.answering import Question
from ig_guardrail.integrations.openai_server.background import BackgroundResponse, InBackground, Kept, Underway
from ig_guardrail.integrations.openai_server.events import Event
from ig_guardrail.integrations.openai_server.faults import Fault, named, unfit
from ig_guardrail.integrations.openai_server.server import (
    SESSION,
    EventStream,
    Opened,
    Server,
    all_of,
    beside,
    headers_of,
    noted,
    told,
)
from ig_guardrail.integrations.openai_server.sse import DONE, frame, with_comments
from ig_guardrail.integrations.openai_server.stored import GIVEN, ResponseStore, Stored, lost
from ig_guardrail.integrations.openai_server.wires.fields import OURS, form_names
from ig_guardrail.integrations.openai_server.wires.items import (
    Item,
    named_items,
    page_of,
    passed_over,
    read_items,
    references,
)
from ig_guardrail.integrations.openai_server.wires.response_events import ResponseWriter, WireObject
from ig_guardrail.integrations.openai_server.wires.responses import ResponseAsked, read_response

NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
}
MANY = 1_000  # items of an input, from which reading them may take long
ENDS = tuple(f"response.{status}" for status in GIVEN)
CANCELLED = Fault(499, "invalid_request_error", "response_cancelled", "the response was cancelled")


def routes(server: Server) -> list[Route]:
    """Of responses."""
    store, underway = server.responses, Underway()

    async def kept(caller: Caller, name: str) -> BackgroundResponse:
        """A response that was given. Raises Refused where it is not there."""
        found = await store.find(caller.tenant, name)
        if found is None:
            raise lost(name, None, 404)
        return BackgroundResponse.ended(found.body, found.events)

    async def respond(request: Request) -> Response:
        caller = server.caller(request)
        asked = await server.asked(request, read_response)
        turn = await _begun(store, caller, asked, request.scope.get(SESSION, ""))
        with _named_here(asked):
            return await answered(request, caller, turn)

    async def answered(request: Request, caller: Caller, turn: _Turn) -> Response:
        opened = await server.open(caller, turn.question(), request)
        turn.sampled(opened)
        unheeded = opened.unheeded("reasoning.effort")
        headers = headers_of((*turn.asked.ignored, *unheeded, *passed_over(turn.asked.input)))
        if turn.asked.background:
            return await in_background(request, opened, turn, headers)
        if turn.asked.stream:
            return await server.streamed(turn.frames(opened), headers, turn.told_fault, request=request)
        events = [event for one in await all_of(opened.events(), request) for event in await turn.events(one.event)]
        return JSONResponse(events[-1]["response"], headers=headers)

    async def in_background(request: Request, opened: Opened, turn: _Turn, headers: dict[str, str]) -> Response:
        if not store.keeps:
            raise unfit("no responses are kept here, so none is given in the background", "background")
        if SESSION in request.scope:
            raise unfit("several replicas answer here, and one that is asked later may not be the one", "background")
        given = BackgroundResponse(lambda: turn.writer.response("in_progress"))
        reply: Response = JSONResponse(given.body(), headers=headers)
        if turn.asked.stream:
            frames = with_comments(_followed(given.follow(0), turn.caller), server.config.quiet)
            reply = EventStream(frames, frames, headers)
        underway.begin(turn.caller.tenant, turn.writer.id, given)
        return InBackground(reply, given, turn.give(opened, given))

    async def cancel(request: Request) -> Response:
        name, caller = request.path_params["id"], server.caller(request)
        given = underway.find(caller.tenant, name)
        if given is not None:
            await given.cancel()
        body = (await kept(caller, name)).body()
        if not body["background"]:
            raise unfit("it was not given in the background; to stop an answer, close its connection", None)
        return JSONResponse(_shown(body, caller))

    async def count(request: Request) -> Response:
        caller = server.caller(request)
        asked = await server.asked(request, lambda body: read_response({"store": False, **body}))
        with _named_here(asked):
            turn = await _begun(store, caller, asked)
            opened = await server.open(caller, turn.question(), request)
            tokens = await asyncio.to_thread(opened.prompt_tokens)
        return JSONResponse({"object": "response.input_tokens", "input_tokens": tokens})

    async def list_input(request: Request) -> Response:
        name = request.path_params["id"]
        found = await store.find(server.caller(request).tenant, name)
        if found is None:
            raise lost(name, None, 404)
        return JSONResponse(page_of(found.input, request.query_params))

    async def show(request: Request) -> Response:
        name, caller = request.path_params["id"], server.caller(request)
        given, place = underway.find(caller.tenant, name) or await kept(caller, name), _place(request)
        if place is None:
            return JSONResponse(_shown(given.body(), caller))
        if not given.body()["background"]:
            raise unfit("it was not given in the background; it is shown whole", "stream", "unsupported_parameter")
        return await server.streamed(_followed(given.follow(place), caller), {}, request=request)

    async def forget(request: Request) -> Response:
        name, caller = request.path_params["id"], server.caller(request)
        given = underway.find(caller.tenant, name)
        if given is not None:
            await given.cancel()
        if not await store.forget(caller.tenant, name):
            raise lost(name, None, 404)
        return JSONResponse({"id": name, "object": "response", "deleted": True})

    async def compact(request: Request) -> Response:
        raise unfit("conversations are never shortened", None, "not_found", 404)

    return [
        Route("/v1/responses", told(respond), methods=["POST"]),
        Route("/v1/responses/input_tokens", told(count), methods=["POST"]),
        Route("/v1/responses/compact", told(compact), methods=["POST"]),
        Route("/v1/responses/{id}", told(show), methods=["GET"]),
        Route("/v1/responses/{id}/input_items", told(list_input), methods=["GET"]),
        Route("/v1/responses/{id}", told(forget), methods=["DELETE"]),
        Route("/v1/responses/{id}/cancel", told(cancel), methods=["POST"]),
    ]


@contextmanager
def _named_here(asked: ResponseAsked) -> Iterator[None]:
    """Faults name fields as these bodies do, where what reads all bodies calls them otherwise."""
    with named({**form_names(asked.options, "tools", "text.format"), **NAMES}):
        yield


async def _begun(store: ResponseStore, caller: Caller, asked: ResponseAsked, session: str = "") -> _Turn:
    """The turn that is asked for, with what it goes on from.

    session: leads to the replica that a chain's requests are handed to, and begins the ids of its responses
    Raises Refused where it goes on from what is not there, or from several conversations.
    """
    earlier = None if asked.previous is None else await store.find(caller.tenant, asked.previous)
    if asked.previous is not None and (earlier is None or not earlier.given):
        raise lost(asked.previous, "previous_response_id", 400)
    holders = {name: await store.holder(caller.tenant, name) for name in references(asked.input)}
    found = {name: one for name, one in holders.items() if one is not None}
    many = isinstance(asked.input, list) and len(asked.input) > MANY
    turn = await beside(many, lambda: _Turn(store, caller, asked, earlier, found))
    turn.writer.id = f"resp_{session}{turn.writer.id.removeprefix('resp_')}"
    return turn


@dataclass(slots=True)
class _Turn:
    """A response that is asked for, with all that stands before it.

    before   messages of its conversation
    input    the same as items
    named    the conversation whose budgets it spends; None where neither a chain nor the caller names one
    """

    store: ResponseStore
    caller: Caller
    asked: ResponseAsked
    writer: ResponseWriter
    before: tuple[BaseMessage, ...]
    input: tuple[Item, ...]
    named: str | None

    def __init__(
        self,
        store: ResponseStore,
        caller: Caller,
        asked: ResponseAsked,
        earlier: Stored | None,
        holders: Mapping[str, Stored],
    ) -> None:
        """earlier: what it goes on from; holders: what holds items that it names, by their names. Raises Refused."""
        self.store, self.caller, self.asked = store, caller, asked
        self.writer = ResponseWriter(asked.model, asked.told, asked.summed)
        named = {one for one in (asked.conversation, earlier.conversation if earlier else None) if one is not None}
        named |= {holder.conversation for holder in holders.values()}

        def item(name: str) -> Item | None:
            items: list[Item] = holders[name].body["output"] if name in holders else []
            return next((one for one in items if one["id"] == name), None)

        self.before = (*(earlier.messages if earlier else ()), *read_items(asked.input, item))
        self.input = (*((*earlier.input, *earlier.body["output"]) if earlier else ()), *named_items(asked.input, item))
        if len(named) > 1:
            raise unfit(
                "it goes on from several conversations, or from another than it names; each spends its own budgets",
                "input" if asked.conversation is None else "ig_guardrail.conversation",
            )
        self.named = next(iter(named), self.writer.id if asked.store else None)

    def question(self) -> Question:
        asked, instructed = self.asked, self.asked.instructions
        messages = (*((SystemMessage(instructed),) if instructed else ()), *self.before)
        return Question(asked.model, messages, asked.options, asked.policy, self.named)

    def sampled(self, opened: Opened) -> None:
        """Have the response say how it is sampled, where the caller leaves that to the model."""
        options = opened.options
        sampling = opened.guardrail.engine.info.defaults.sampling(
            temperature=options.temperature, top_p=options.top_p, max_tokens=options.max_tokens
        )
        self.writer.told = {**self.writer.told, "temperature": sampling.temperature, "top_p": sampling.top_p}

    async def events(self, event: Event) -> list[WireObject]:
        """What is told of an event. A response is kept before its end is told."""
        told = list(self.writer.events(event))
        for one in told:
            if one["type"] in ENDS and self.asked.store and not self.asked.background:
                await self._keep(one["response"])
        return told

    async def give(self, opened: Opened, given: BackgroundResponse) -> None:
        """Give it in the background, and keep it, whatever came of it."""
        for event in self.writer.begin():
            given.tell(event)
        try:
            async with aclosing(opened.events()) as events:
                async for one in events:
                    for event in await self.events(one.event):
                        given.tell(event)
        except asyncio.CancelledError:
            for event in self.writer.failure(CANCELLED, "cancelled"):
                given.tell(event)
            if not given.cancelled:  # the server stops, or the time is over
                raise
        except Exception as error:
            for event in self.writer.failure(noted(error)):
                given.tell(event)
        finally:
            try:
                await self._keep(given.events[-1]["response"], tuple(given.events))
            finally:
                given.end()

    async def frames(self, opened: Opened) -> AsyncGenerator[bytes, None]:
        """The same of all events, as the stream has it."""
        async with aclosing(opened.events()) as events:
            async for one in events:
                for told in await self.events(one.event):
                    yield _frame(told)
        yield DONE

    def told_fault(self, fault: Fault) -> bytes:
        """The end of a stream that fails."""
        return b"".join(map(_frame, self.writer.failure(fault))) + DONE

    async def _keep(self, body: Kept, events: tuple[Kept, ...] = ()) -> None:
        said = read_items(body["output"], lambda name: None) if body["status"] in GIVEN else ()
        conversation = self.named or self.writer.id
        one = Stored(body, (*self.before, *said), conversation, self.input, events)
        await self.store.keep(self.caller.tenant, one)


async def _followed(told: AsyncGenerator[Kept, None], caller: Caller) -> AsyncGenerator[bytes, None]:
    """The events of a response as a stream, as this caller may see them."""
    async with aclosing(told):
        async for event in told:
            yield _frame({**event, "response": _shown(event["response"], caller)} if "response" in event else event)
    yield DONE


def _shown(body: Kept, caller: Caller) -> Kept:
    return {**body, OURS: caller.shown(body[OURS])} if OURS in body else body


def _place(request: Request) -> int | None:
    """From which event on a response is asked for as a stream; None where it is asked for whole."""
    asked, after = request.query_params.get("stream", "false"), request.query_params.get("starting_after")
    if asked not in ("true", "false"):
        raise unfit("it is 'true' or 'false'", "stream")
    if asked == "false":
        return None
    if after is not None and not (after.isascii() and after.isdigit() and len(after) < 10):
        raise unfit("it is the number of an event", "starting_after")
    return 0 if after is None else int(after) + 1


def _frame(event: Kept) -> bytes:
    return frame(event, event["type"])
