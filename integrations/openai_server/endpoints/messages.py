"""`POST /v1/messages`, whole or streamed, for Anthropic's clients, and how many tokens a question has."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.integrations.openai_server.access.callers import Caller
from ig_guardrail.integrations.openai_server.faults import named
from ig_guardrail.integrations.openai_server.server import Server, all_of, headers_of, told
from ig_guardrail.integrations.openai_server.wires.messages import (
    MessagesAsked,
    error_body,
    names_for,
    read_question,
)
from ig_guardrail.integrations.openai_server.wires.messages_writer import MessagesWriter, told_fault


def routes(server: Server) -> list[Route]:
    """Of Anthropic's messages."""

    async def answer_messages(request: Request) -> Response:
        caller = server.caller(request)
        asked = await server.asked(request, read_question)
        with named(names_for(asked.question)):
            return await answered(request, caller, asked)

    async def answered(request: Request, caller: Caller, asked: MessagesAsked) -> Response:
        opened = await server.open(caller, asked.question, request)
        thoughtless = asked.thinks and not opened.guardrail.engine.info.thinks
        unheeded = opened.unheeded("output_config.effort")
        headers = headers_of((*asked.ignored, *(("thinking",) if thoughtless else ()), *unheeded))
        writer = MessagesWriter(asked.question.model)
        if asked.stream:
            return await server.streamed(opened.frames(writer.frames), headers, told_fault, writer.ping, request)
        return JSONResponse(writer.whole(await all_of(opened.events(), request)), headers=headers)

    async def count(request: Request) -> Response:
        caller = server.caller(request)
        asked = await server.asked(request, lambda body: read_question({"max_tokens": 1, **body}))
        question = asked.question
        with named(names_for(question)):
            opened = await server.open(caller, question, request)
            return JSONResponse({"input_tokens": await asyncio.to_thread(opened.prompt_tokens)})

    return [
        Route("/v1/messages", told(answer_messages, error_body), methods=["POST"]),
        Route("/v1/messages/count_tokens", told(count, error_body), methods=["POST"]),
    ]
