"""OpenAI's agents, which call tools by themselves."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from tests.clients.telling import ASKED, MODELS, TOOL_NAME, get_weather, observe, offers_tool, room, url

KINDS: dict[str, Any] = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}
LOOP = asyncio.Runner()  # one for all, as connections belong to it
set_tracing_disabled(True)


def agent(case: str, api: str, called: list[str]) -> Any:
    @function_tool(name_override=TOOL_NAME)
    def look(location: str) -> str:
        called.append(location)
        return get_weather(location)

    client = AsyncOpenAI(base_url=url(), api_key="none", max_retries=0)
    return Agent(
        name="helper",
        model=KINDS[api](MODELS[case], client),
        model_settings=ModelSettings(max_tokens=room(case)),
        tools=[look] if offers_tool(case) else [],
    )


def whole(case: str, api: str) -> dict[str, Any]:
    called: list[str] = []
    result = LOOP.run(Runner.run(agent(case, api, called), ASKED, max_turns=3))
    return {"text": result.final_output, "calls": called}


def streamed(case: str, api: str) -> dict[str, Any]:
    called: list[str] = []

    async def run() -> dict[str, Any]:
        text = ""
        result = Runner.run_streamed(agent(case, api, called), ASKED, max_turns=3)
        async for event in result.stream_events():
            data = getattr(event, "data", None)
            text += data.delta if getattr(data, "type", "") == "response.output_text.delta" else ""
            if case == "disconnect" and text:
                result.cancel()
                return {"text": text}
        return {"text": result.final_output, "calls": called}

    return LOOP.run(run())


if __name__ == "__main__":
    for api in KINDS:
        observe("openai-agents", api, "whole", lambda case, api=api: whole(case, api))  # type: ignore[misc]
        observe("openai-agents", api, "streamed", lambda case, api=api: streamed(case, api))  # type: ignore[misc]
