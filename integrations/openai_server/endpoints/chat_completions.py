"""`POST /v1/chat/completions`, whole or streamed."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.faults import named
from ig_guardrail.integrations.openai_server.server import Server, all_of, headers_of, told
from ig_guardrail.integrations.openai_server.sse import DONE, frame
from ig_guardrail.integrations.openai_server.wires.chat_completions import (
    ChatAsked,
    ChatWriter,
    names_for,
    read_chat,
)


def routes(server: Server) -> list[Route]:
    """Of chat completions."""

    async def complete(request: Request) -> Response:
        caller = server.caller(request)
        asked = await server.asked(request, read_chat)
        with named(names_for(asked.question)):
            return await answered(request, caller, asked)

    async def answered(request: Request, caller: Caller, asked: ChatAsked) -> Response:
        opened = await server.open(caller, asked.question, request)
        style = asked.style or server.style_for(caller)
        headers = headers_of((*asked.ignored, *opened.unheeded("reasoning_effort")))
        answers = opened.options.n
        writer = ChatWriter(asked.question.model, style, asked.usage, answers, asked.chosen, opened.fingerprint)
        if asked.stream:
            frames = opened.frames(lambda one: map(frame, writer.chunks(one)), lambda: _last(writer))
            return await server.streamed(frames, headers, request=request)
        return JSONResponse(writer.whole(await all_of(opened.events(), request)), headers=headers)

    return [Route("/v1/chat/completions", told(complete), methods=["POST"])]


def _last(writer: ChatWriter) -> Iterator[bytes]:
    yield from map(frame, writer.conclusion())
    yield DONE
