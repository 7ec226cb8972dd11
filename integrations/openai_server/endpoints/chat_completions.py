"""`POST /v1/chat/completions`, whole or streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.integrations.openai_server.server import Opened, Server, all_of, headers_of, told
from ig_guardrail.integrations.openai_server.sse import DONE, frame
from ig_guardrail.integrations.openai_server.wires.chat_completions import ChatWriter, read_chat


def routes(server: Server) -> list[Route]:
    """Of chat completions."""

    async def complete(request: Request) -> Response:
        caller = server.caller(request)
        asked = read_chat(await server.body(request))
        opened = await server.open(caller, asked.question, request)
        style, headers = asked.style or server.style_for(caller), headers_of(asked.ignored)
        answers = opened.options.n
        writer = ChatWriter(asked.question.model, style, asked.usage, answers, asked.chosen, opened.fingerprint)
        if asked.stream:
            return await server.streamed(_frames(opened, writer), headers, request=request)
        return JSONResponse(writer.whole(await all_of(opened.events(), request)), headers=headers)

    return [Route("/v1/chat/completions", told(complete), methods=["POST"])]


async def _frames(opened: Opened, writer: ChatWriter) -> AsyncGenerator[bytes, None]:
    async with aclosing(opened.events()) as events:
        async for one in events:
            for chunk in writer.chunks(one):
                yield frame(chunk)
    for chunk in writer.conclusion():
        yield frame(chunk)
    yield DONE
