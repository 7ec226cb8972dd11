"""pydantic-ai, whose agents call tools by themselves."""

from __future__ import annotations

import asyncio
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.telling import ASKED, MODELS, TOOL_NAME, get_weather, observe, offers_tool, room, url

KINDS: dict[str, Any] = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}
LOOP = asyncio.Runner()  # one for all, as connections belong to it


def agent(case: str, api: str, called: list[str]) -> Any:
    client = AsyncOpenAI(base_url=url(), api_key="none", max_retries=0)
    model = KINDS[api](MODELS[case], provider=OpenAIProvider(openai_client=client))
    made = Agent(model, model_settings={"max_tokens": room(case)}, retries=0)
    if offers_tool(case):

        @made.tool_plain(name=TOOL_NAME)
        def look(location: str) -> str:
            called.append(location)
            return get_weather(location)

    return made


def whole(case: str, api: str) -> dict[str, Any]:
    called: list[str] = []
    result = LOOP.run(agent(case, api, called).run(ASKED))
    return {"text": result.output, "finish": result.response.finish_reason, "calls": called}


def streamed(case: str, api: str) -> dict[str, Any]:
    called: list[str] = []

    async def run() -> dict[str, Any]:
        text = ""
        async with agent(case, api, called).run_stream(ASKED) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                text += piece
                if case == "disconnect" and text:
                    return {"text": text}
            return {"text": text, "finish": result.response.finish_reason, "calls": called}

    return LOOP.run(run())


if __name__ == "__main__":
    for api in KINDS:
        observe("pydantic-ai", api, "whole", lambda case, api=api: whole(case, api))  # type: ignore[misc]
        observe("pydantic-ai", api, "streamed", lambda case, api=api: streamed(case, api))  # type: ignore[misc]
