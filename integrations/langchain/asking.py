"""One request to another chat model, which may be made again: each answer is a stream of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import Runnable, RunnableConfig

from ig_guardrail.engine.reading import AwaitedReading, PulledReading
from ig_guardrail.integrations.langchain.relay import relayed, spoken, spoken_async
from ig_guardrail.integrations.langchain.spoken import Answer
from ig_guardrail.types import Chunk


class Asking:
    """Messages and options of a call, and the answers that were begun to it.

    The model is called without the callbacks of the run: they would hand out what was not judged yet.
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
        self._answers: list[Answer] = []
        self._awaited: list[AwaitedReading] = []

    def pulled(self) -> PulledReading:
        """A fresh answer, read on the caller's thread."""
        answer = self._begun()
        return PulledReading(spoken(self._model.stream(self._messages, _unheard(), **self._options), answer))

    def awaited(self) -> AwaitedReading:
        """A fresh answer, read on the caller's event loop."""
        answer = self._begun()
        chunks = self._model.astream(self._messages, _unheard(), **self._options)
        self._awaited.append(AwaitedReading(spoken_async(chunks, answer)))
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

    def _begun(self) -> Answer:
        self._answers.append(Answer())
        return self._answers[-1]


def _unheard() -> RunnableConfig:
    return {"callbacks": []}
