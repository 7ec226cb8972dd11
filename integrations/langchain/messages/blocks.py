"""Our answers as LangChain's content blocks: thoughts, words, calls, and what the policy said in place of an answer.

Registered under the provider name that our messages carry. Call pieces have string indexes of their own, since a whole
number may be that of a text block, into which they would be merged and lost.

Also here: protocol events (`version="v3"`) of our messages. The protocol has no block for a refusal, and LangChain's
own bridge drops one with its text. So what the policy says goes out as text, with a block of type `non_standard` beside
it that tells it for a refusal.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, InvalidToolCall
from langchain_core.messages.block_translators import register_translator
from langchain_core.outputs import ChatGenerationChunk

if TYPE_CHECKING:
    from langchain_protocol import MessagesData

PROVIDER = "ig-guardrail"
RECORD = "ig_guardrail"
THOUGHT = "reasoning_content"  # where messages carry a thought beside their content, as those of other local models do


def register() -> None:
    """Have LangChain read our messages with these. Idempotent."""
    register_translator(PROVIDER, blocks_of, chunk_blocks_of)


def is_refusal(message: BaseMessage) -> bool:
    """Whether a policy refused the answer, or ended it."""
    return bool(message.response_metadata.get("finish_reason") == "content_filter")


def blocks_of(message: AIMessage) -> list[Any]:
    """The blocks of a whole message."""
    calls = [
        {"type": "tool_call", "name": call["name"], "args": call["args"], "id": call["id"]}
        for call in message.tool_calls
    ]
    invalid = [{"type": "invalid_tool_call", **_without_type(call)} for call in message.invalid_tool_calls]
    return [*_thought(message), *_said(message), *calls, *invalid]


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
    return [*_thought(chunk), *_said(chunk), *calls]


def _without_type(call: InvalidToolCall) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name != "type"}


def _thought(message: AIMessage) -> list[Any]:
    """The thought, unless the content has one already."""
    text = message.additional_kwargs.get(THOUGHT)
    told = isinstance(message.content, list) and any(
        isinstance(block, dict) and block.get("type") == "reasoning" for block in message.content
    )
    return [{"type": "reasoning", "reasoning": text}] if text and not told else []


def _said(message: AIMessage) -> list[Any]:
    """The words; the policy's, where they stand in place of an answer or behind the beginning of one, as a refusal."""
    if isinstance(message.content, list):
        return list(message.content)
    if not is_refusal(message):
        return [{"type": "text", "text": message.content}] if message.content else []
    record = message.response_metadata.get(RECORD, {})
    said = record.get("message", message.content)
    words = message.content.removesuffix(said).removesuffix("\n\n")
    block = {"type": "refusal", "refusal": said, "extras": {"reason": record.get("verdict", {}).get("reason", "")}}
    return [*([{"type": "text", "text": words}] if words else []), block]


class EventModel(BaseChatModel):
    """A chat model whose refusals are seen in protocol events. LangChain looks for the two methods by name."""

    def _stream_chat_model_events(
        self, messages: list[BaseMessage], *, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Iterator[MessagesData]:
        chunks = cast(Generator[ChatGenerationChunk, None, None], self._stream(messages, **kwargs))
        return events_of(chunks, run_manager.run_id if run_manager else None)

    def _astream_chat_model_events(
        self, messages: list[BaseMessage], *, run_manager: AsyncCallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> AsyncIterator[MessagesData]:
        chunks = cast(AsyncGenerator[ChatGenerationChunk, None], self._astream(messages, **kwargs))
        return events_of_async(chunks, run_manager.run_id if run_manager else None)


def events_of(chunks: Generator[ChatGenerationChunk, None, None], run: UUID | None) -> Iterator[MessagesData]:
    """The events of a stream, which is closed with them; run: names the message."""
    from langchain_core.language_models._compat_bridge import chunks_to_events

    with closing(chunks):
        yield from chunks_to_events((spoken(chunk) for chunk in chunks), message_id=_name(run))


async def events_of_async(
    chunks: AsyncGenerator[ChatGenerationChunk, None], run: UUID | None
) -> AsyncIterator[MessagesData]:
    """The same on the running event loop."""
    from langchain_core.language_models._compat_bridge import achunks_to_events

    async with aclosing(chunks):
        async for event in achunks_to_events((spoken(chunk) async for chunk in chunks), message_id=_name(run)):
            yield event


def spoken(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """A chunk whose refusal, if it is one, is text with a mark beside it."""
    message = chunk.message
    if not is_refusal(message):
        return chunk
    blocks: list[Any] = list(message.content_blocks)
    marks: list[Any] = [{"type": "non_standard", "value": block} for block in blocks if block["type"] == "refusal"]
    text: list[Any] = [{"type": "text", "text": message.text}] if message.text else []
    return ChatGenerationChunk(message=message.model_copy(update={"content": [*text, *marks]}))


def _name(run: UUID | None) -> str | None:
    return None if run is None else f"lc_run--{run}"
