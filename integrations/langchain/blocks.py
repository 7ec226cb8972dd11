"""Our answers as LangChain's content blocks: words, calls, and what the policy said in place of an answer.

Registered under the provider name that our messages carry. Call pieces have string indexes of their own, since a whole
number may be that of a text block, into which they would be merged and lost.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, InvalidToolCall
from langchain_core.messages.block_translators import register_translator

PROVIDER = "ig-guardrail"
RECORD = "ig_guardrail"


def register() -> None:
    """Have LangChain read our messages with these. Idempotent."""
    register_translator(PROVIDER, blocks_of, chunk_blocks_of)


def refused(message: BaseMessage) -> bool:
    """Whether a policy refused the answer, or ended it."""
    return bool(message.response_metadata.get("finish_reason") == "content_filter")


def blocks_of(message: AIMessage) -> list[Any]:
    """The blocks of a whole message."""
    calls = [
        {"type": "tool_call", "name": call["name"], "args": call["args"], "id": call["id"]}
        for call in message.tool_calls
    ]
    invalid = [{"type": "invalid_tool_call", **_without_type(call)} for call in message.invalid_tool_calls]
    return [*_said(message), *calls, *invalid]


def chunk_blocks_of(chunk: AIMessageChunk) -> list[Any]:
    """The blocks of a piece of the stream; of the whole, if pieces were put together up to the last."""
    if chunk.chunk_position == "last":
        return blocks_of(chunk)
    calls = [
        {
            "type": "tool_call_chunk",
            "id": piece["id"],
            "name": piece["name"],
            "args": piece["args"],
            "index": f"lc_call_{piece['index']}",
        }
        for piece in chunk.tool_call_chunks
    ]
    return [*_said(chunk), *calls]


def _without_type(call: InvalidToolCall) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name != "type"}


def _said(message: AIMessage) -> list[Any]:
    """The words; the policy's, where they stand in place of an answer or behind the beginning of one, as a refusal."""
    if isinstance(message.content, list):
        return list(message.content)
    if not refused(message):
        return [{"type": "text", "text": message.content}] if message.content else []
    record = message.response_metadata.get(RECORD, {})
    said = record.get("message", message.content)
    words = message.content.removesuffix(said).removesuffix("\n\n")
    block = {"type": "refusal", "refusal": said, "extras": {"reason": record.get("verdict", {}).get("reason", "")}}
    return [*([{"type": "text", "text": words}] if words else []), block]
