"""A hosted model, as tests need one: it tells its answers one after another, and notes what befell it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from ig_guardrail.engine.scripted.script import words

Part: TypeAlias = str | AIMessageChunk | Exception

FOREVER = "\0"  # a part that never comes, awaited


@dataclass
class Flag:
    """An event that nobody waits for, so that whoever holds it can be copied and pickled."""

    up: bool = False

    def set(self) -> None:
        self.up = True

    def clear(self) -> None:
        self.up = False

    def is_set(self) -> bool:
        return self.up


@dataclass
class Log:
    """calls: the options of each; pulled: parts of the last answer that were asked for; closed: its stream was."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    pulled: int = 0
    closed: Flag = field(default_factory=Flag)


class Teller(BaseChatModel):
    """Tells `answers` in turn, the last one again and again. A part that is an error is raised."""

    answers: list[Any]
    log: Log

    @property
    def _llm_type(self) -> str:
        return "teller"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": "teller-1"}

    def _stream(self, messages: list[BaseMessage], stop: Any = None, *_: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            for part in self._begin({**kwargs, "stop": stop}):
                yield self._told(part)
        finally:
            self.log.closed.set()

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, *_: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        try:
            for part in self._begin({**kwargs, "stop": stop}):
                await (asyncio.Event().wait() if part == FOREVER else asyncio.sleep(0))
                yield self._told(part)
        finally:
            await asyncio.sleep(0)
            self.log.closed.set()

    def _generate(self, messages: list[BaseMessage], stop: Any = None, *_: Any, **kwargs: Any) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    def bind_tools(self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, Any]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=tool_choice, **kwargs)

    def _begin(self, options: dict[str, Any]) -> list[Part]:
        self.log.calls.append(options)
        self.log.pulled = 0
        self.log.closed.clear()
        answer: list[Part] = self.answers[min(len(self.log.calls), len(self.answers)) - 1]
        return answer

    def _told(self, part: Part) -> ChatGenerationChunk:
        self.log.pulled += 1
        if isinstance(part, Exception):
            raise part
        message = part if isinstance(part, AIMessageChunk) else AIMessageChunk(content=part)
        return ChatGenerationChunk(message=message)


def teller(*answers: str | list[Part], **settings: Any) -> Teller:
    """Answers given as texts are told word by word."""
    parts: list[list[Part]] = [[*words(one)] if isinstance(one, str) else one for one in answers]
    return Teller(answers=parts, log=Log(), **settings)


def call_part(name: str | None, args: str, id: str | None = None, index: int = 0) -> AIMessageChunk:
    """A piece of a tool call."""
    return AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(name=name, args=args, id=id, index=index)])


def last_part(reason: str = "stop", read: int = 3, told: int = 5) -> AIMessageChunk:
    """How hosts end a stream."""
    return AIMessageChunk(
        content="",
        response_metadata={"finish_reason": reason},
        usage_metadata={"input_tokens": read, "output_tokens": told, "total_tokens": read + told},
    )
