"""The official client."""

from __future__ import annotations

from typing import Any

import openai

from tests.clients.telling import ASKED, MODELS, PARAMETERS, TOOL_NAME, observe, offers_tool, room, url

CLIENT = openai.OpenAI(base_url=url(), api_key="none", max_retries=0)
FUNCTION: Any = {"name": TOOL_NAME, "parameters": PARAMETERS}


def chat(case: str, **more: Any) -> Any:
    tools = {"tools": [{"type": "function", "function": FUNCTION}]} if offers_tool(case) else {}
    asked: Any = [{"role": "user", "content": ASKED}]
    return CLIENT.chat.completions.create(
        model=MODELS[case], messages=asked, max_completion_tokens=room(case), **tools, **more
    )


def chat_whole(case: str) -> dict[str, Any]:
    (choice,) = chat(case).choices
    message = choice.message
    calls = [call.function.arguments for call in message.tool_calls or ()]
    return {"text": message.content, "refusal": message.refusal, "finish": choice.finish_reason, "calls": calls}


def chat_streamed(case: str) -> dict[str, Any]:
    text, refusal, finish, calls = "", "", None, []
    with chat(case, stream=True) as stream:
        for chunk in stream:
            (choice,) = chunk.choices
            text += choice.delta.content or ""
            refusal += choice.delta.refusal or ""
            calls += [call.function.arguments for call in choice.delta.tool_calls or ()]
            finish = choice.finish_reason or finish
            if case == "disconnect" and text:
                break
    return {"text": text, "refusal": refusal, "finish": finish, "calls": calls}


def respond(case: str, **more: Any) -> Any:
    tools = {"tools": [{"type": "function", "strict": True, **FUNCTION}]} if offers_tool(case) else {}
    return CLIENT.responses.create(model=MODELS[case], input=ASKED, max_output_tokens=room(case), **tools, **more)


def of_response(response: Any) -> dict[str, Any]:
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    details = response.incomplete_details
    return {
        "text": response.output_text,
        "refusal": "".join(part.refusal for part in parts if part.type == "refusal"),
        "finish": details.reason if details else response.status,
        "calls": [item.arguments for item in response.output if item.type == "function_call"],
    }


def response_streamed(case: str) -> dict[str, Any]:
    with respond(case, stream=True) as stream:
        for event in stream:
            if case == "disconnect" and event.type == "response.output_text.delta":
                return {"text": event.delta}
    return of_response(event.response)


if __name__ == "__main__":
    observe("openai", "chat", "whole", chat_whole)
    observe("openai", "chat", "streamed", chat_streamed)
    observe("openai", "responses", "whole", lambda case: of_response(respond(case)))
    observe("openai", "responses", "streamed", response_streamed)
