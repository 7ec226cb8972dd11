"""LlamaIndex's OpenAILike."""

from __future__ import annotations

import json
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

from tests.clients.telling import ASKED, MODELS, get_weather, observe, offers_tool, room, url

SAID = [ChatMessage(role="user", content=ASKED)]
TOOLS = [FunctionTool.from_defaults(get_weather)]


def model(case: str) -> Any:
    return OpenAILike(
        model=MODELS[case],
        api_base=url(),
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
        max_tokens=room(case),
    )


def seen(llm: Any, answer: Any, text: str) -> dict[str, Any]:
    calls = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    choices = getattr(answer.raw, "choices", None) or [None]
    finish = answer.additional_kwargs.get("finish_reason") or getattr(choices[0], "finish_reason", None)
    return {"text": text, "refusal": "", "finish": finish, "calls": [json.dumps(call.tool_kwargs) for call in calls]}


def whole(case: str) -> dict[str, Any]:
    llm = model(case)
    answer = llm.chat_with_tools(TOOLS, chat_history=SAID) if offers_tool(case) else llm.chat(SAID)
    return seen(llm, answer, answer.message.content or "")


def streamed(case: str) -> dict[str, Any]:
    llm, text, answer = model(case), "", None
    stream = llm.stream_chat_with_tools(TOOLS, chat_history=SAID) if offers_tool(case) else llm.stream_chat(SAID)
    for answer in stream:
        text += answer.delta or ""
        if case == "disconnect" and text:
            return {"text": text}
    return seen(llm, answer, text)


if __name__ == "__main__":
    observe("LlamaIndex", "chat", "whole", whole)
    observe("LlamaIndex", "chat", "streamed", streamed)
