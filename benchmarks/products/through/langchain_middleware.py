"""LangChain: an agent with a middleware that judges what the model said, as its page on guardrails shows.

python langchain_middleware.py messages|values|retry

messages  streamed token by token (`stream_mode="messages"`)
values    not streamed (`ainvoke`): a reader is shown the last message of the finished run
retry     as `values`; the model is asked again, with other seeds, up to TRIES times, before the fixed text is said
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import wire
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, hook_config
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_openai import ChatOpenAI

HOW = sys.argv[1]
CANNED = "I cannot provide that response. Please rephrase your request."
TRIES = 5


class Judging(AgentMiddleware):
    """Replaces the last message where it is over budget."""

    @hook_config(can_jump_to=["end"])
    async def aafter_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """As LangChain's own example of a guardrail behind the agent."""
        last = state["messages"][-1]
        if isinstance(last, AIMessage) and not await wire.VERDICT.allows_async(last.text):
            last.content = CANNED
        return None


class Retrying(AgentMiddleware):
    """Asks the model again, where what it said is over budget."""

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        """With seed after seed."""
        seed = request.model.seed
        for attempt in range(TRIES):
            drawn = request.override(model=request.model.model_copy(update={"seed": seed + 1000 * attempt}))
            response = await handler(drawn)
            if await wire.VERDICT.allows_async(response.result[0].text):
                break
        return response


async def answer(asked: wire.Asked) -> AsyncIterator[wire.Told]:
    """Streamed, in one of the modes."""
    model = ChatOpenAI(model=wire.MODEL, base_url=wire.PLAIN, api_key="none", max_retries=0, **wire.sampled(asked))
    agent = create_agent(model, tools=[], middleware=[Judging(), *([Retrying()] if HOW == "retry" else [])])
    asks = {"messages": wire.messages(asked)}
    if HOW == "messages":
        said = ""
        async for message, _ in agent.astream(asks, stream_mode="messages"):
            if isinstance(message, AIMessageChunk) and message.text:
                yield wire.text(message.text)
            elif message.text == CANNED:
                said = CANNED
        yield wire.end("canned" if said else "whole", said)
        return
    said = (await agent.ainvoke(asks))["messages"][-1].text
    if said == CANNED:
        yield wire.end("canned", said)
    else:
        yield wire.text(said)
        yield wire.end("whole")


wire.serve(answer)
