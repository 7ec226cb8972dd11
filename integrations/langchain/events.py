"""Protocol events (`version="v3"`) of our messages.

The protocol has no block for a refusal, and LangChain's own bridge drops one with its text. So what the policy says
goes out as text, with a block of type `non_standard` beside it that tells it for a refusal.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from ig_guardrail.integrations.langchain.blocks import refused

if TYPE_CHECKING:
    from langchain_protocol import MessagesData


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
    if not refused(message):
        return chunk
    blocks: list[Any] = list(message.content_blocks)
    marks: list[Any] = [{"type": "non_standard", "value": block} for block in blocks if block["type"] == "refusal"]
    text: list[Any] = [{"type": "text", "text": message.text}] if message.text else []
    return ChatGenerationChunk(message=message.model_copy(update={"content": [*text, *marks]}))


def _name(run: UUID | None) -> str | None:
    return None if run is None else f"lc_run--{run}"
