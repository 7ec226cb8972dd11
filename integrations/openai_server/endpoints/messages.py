"""`POST /v1/messages`, whole or streamed, for Anthropic's clients."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.integrations.openai_server.server import Server, all_of, headers_of, told
from ig_guardrail.integrations.openai_server.wires.messages import error_body, read_question
from ig_guardrail.integrations.openai_server.wires.messages_writer import MessagesWriter, told_fault


def routes(server: Server) -> list[Route]:
    """Of Anthropic's messages."""

    async def answer_messages(request: Request) -> Response:
        caller = server.caller(request)
        asked = read_question(await server.body(request))
        opened = await server.open(caller, asked.question, request)
        thoughtless = asked.thinks and not opened.guardrail.engine.info.thinks
        headers = headers_of((*asked.ignored, "thinking") if thoughtless else asked.ignored)
        writer = MessagesWriter(asked.question.model)
        if asked.stream:
            return await server.streamed(opened.frames(writer.frames), headers, told_fault, writer.ping, request)
        return JSONResponse(writer.whole(await all_of(opened.events(), request)), headers=headers)

    return [Route("/v1/messages", told(answer_messages, error_body), methods=["POST"])]
