"""One request to another chat model, which may be made again: each answer is a stream of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from functools import reduce
from typing import Any, cast

from langchain_core.callbacks import CallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config, patch_config, set_config_context, var_child_runnable_config

from ig_guardrail.engine.reading import AwaitedReading, PulledReading
from ig_guardrail.integrations.langchain.relay import relayed, spoken, spoken_async
from ig_guardrail.integrations.langchain.spoken import Answer
from ig_guardrail.types import Chunk


class Asking:
    """Messages and options of a call, and the answers that were begun to it.

    The model is called apart from the run: its callbacks, which streaming goes by, would show what was not judged yet.
    """

    def __init__(
        self,
        model: BaseChatModel,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        given: Mapping[str, Any],
    ) -> None:
        self._model: Runnable[Any, Any] = model.bind_tools(**given) if given.get("tools") else model
        options = {} if given.get("tools") else dict(given)
        self._options = options if stop is None else {**options, "stop": list(stop)}
        self._messages = list(messages)
        self._apart = patch_config(ensure_config(), callbacks=CallbackManager([]))
        self._answers: list[Answer] = []
        self._awaited: list[AwaitedReading] = []

    def pulled(self) -> PulledReading:
        """A fresh answer, read on the caller's thread."""
        answer = self._begun()
        return PulledReading(spoken(self._streamed(), answer))

    def awaited(self) -> AwaitedReading:
        """A fresh answer, read on the caller's event loop."""
        answer = self._begun()
        self._awaited.append(AwaitedReading(spoken_async(self._streamed_async(), answer)))
        return self._awaited[-1]

    async def closed(self) -> None:
        """Wait until the streams of all answers are closed."""
        for reading in self._awaited:
            await reading.closed()

    def chunks(self, chunk: Chunk) -> Iterator[ChatGenerationChunk]:
        """What the guardrail lets out, which is of the last answer, as LangChain's. Usage is of all answers."""
        answer = self._answers[-1] if self._answers else Answer()
        told = [one.usage for one in self._answers if one.usage is not None]
        return relayed(chunk, answer, reduce(add_usage, told) if told else None)

    def _streamed(self) -> Iterator[BaseMessage]:
        with set_config_context(self._apart) as context:
            chunks = context.run(self._model.stream, self._messages, self._apart, **self._options)
            with closing(cast(Generator[BaseMessage, None, None], chunks)):
                while (chunk := context.run(next, chunks, None)) is not None:
                    yield chunk

    async def _streamed_async(self) -> AsyncIterator[BaseMessage]:
        var_child_runnable_config.set(self._apart)  # in the task that reads, which has a context of its own
        chunks = self._model.astream(self._messages, self._apart, **self._options)
        async with aclosing(cast(AsyncGenerator[BaseMessage, None], chunks)):
            async for chunk in chunks:
                yield chunk

    def _begun(self) -> Answer:
        self._answers.append(Answer())
        return self._answers[-1]
