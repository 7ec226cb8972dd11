"""LangChain's ChatOpenAI."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from tests.clients.telling import ASKED, MODELS, get_weather, observe, offers_tool, room, url


def model(case: str, api: str) -> Any:
    made = ChatOpenAI(
        model=MODELS[case],
        base_url=url(),
        api_key="none",  # type: ignore[arg-type]
        max_retries=0,
        max_tokens=room(case),
        use_responses_api=api == "responses",
    )
    return made.bind_tools([get_weather]) if offers_tool(case) else made


def of_message(message: AIMessage) -> dict[str, Any]:
    blocks = [block for block in message.content_blocks if isinstance(block, dict)]
    told = [block["value"] if block["type"] == "non_standard" else block for block in blocks]
    kept = message.additional_kwargs.get("refusal") or ""
    metadata = message.response_metadata
    details = metadata.get("incomplete_details") or {}
    return {
        "text": message.text,
        "refusal": kept or "".join(block["refusal"] for block in told if block.get("type") == "refusal"),
        "finish": metadata.get("finish_reason") or details.get("reason") or metadata.get("status"),
        "calls": [*message.tool_calls, *message.invalid_tool_calls],
    }


def streamed(case: str, api: str) -> dict[str, Any]:
    whole: Any = None
    for chunk in model(case, api).stream(ASKED):
        whole = chunk if whole is None else whole + chunk
        if case == "disconnect" and whole.text:
            return {"text": whole.text}
    return of_message(whole)


if __name__ == "__main__":
    for api in ("chat", "responses"):
        observe("ChatOpenAI", api, "whole", lambda case, api=api: of_message(model(case, api).invoke(ASKED)))  # type: ignore[misc]
        observe("ChatOpenAI", api, "streamed", lambda case, api=api: streamed(case, api))  # type: ignore[misc]
