"""Anthropic's own client."""

from __future__ import annotations

from typing import Any

import anthropic

from tests.clients.telling import ASKED, MODELS, PARAMETERS, TOOL_NAME, observe, offers_tool, room, url

CLIENT = anthropic.Anthropic(base_url=url().removesuffix("/v1"), api_key="none", max_retries=0)


def asked(case: str) -> dict[str, Any]:
    tools = {"tools": [{"name": TOOL_NAME, "input_schema": PARAMETERS}]} if offers_tool(case) else {}
    messages = [{"role": "user", "content": ASKED}]
    return {"model": MODELS[case], "messages": messages, "max_tokens": room(case), "timeout": 60, **tools}


def of_message(message: Any) -> dict[str, Any]:
    return {
        "text": "".join(block.text for block in message.content if block.type == "text"),
        "finish": message.stop_reason,
        "calls": [block.input for block in message.content if block.type == "tool_use"],
    }


def streamed(case: str) -> dict[str, Any]:
    with CLIENT.messages.stream(**asked(case)) as stream:
        if case == "disconnect":
            return {"text": next(iter(stream.text_stream))}
        return of_message(stream.get_final_message())


if __name__ == "__main__":
    observe("anthropic", "messages", "whole", lambda case: of_message(CLIENT.messages.create(**asked(case))))
    observe("anthropic", "messages", "streamed", streamed)
