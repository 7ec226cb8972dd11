"""One request to another chat model, which may be made again: each answer is a stream of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from contextvars import copy_context
from functools import reduce
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import Runnable, RunnableBinding

from ig_guardrail.engine.external.stream import AwaitedReading, PulledReading
from ig_guardrail.integrations.langchain.inner.answer import InnerAnswer, answer_pieces, relayed, spoken_async
from ig_guardrail.integrations.langchain.inner.apart import UnkeptAnswers, unheard, unheard_config
from ig_guardrail.types import Chunk


class InnerCall:
    """Messages and options of a call, and the answers that were begun to it.

    The model is called apart from the run, whose handlers would show what was not judged yet, and past its cache, which
    would keep it.
    """

    def __init__(
        self,
        model: BaseChatModel,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        given: Mapping[str, Any],
    ) -> None:
        self._model: Runnable[Any, Any] = model
        self._options = dict(given)
        if given.get("tools"):
            tools = [getattr(tool, "given", tool) for tool in given["tools"]]
            self._model, self._options = _unbound(model.bind_tools(**{**given, "tools": tools}))
        if stop is not None:
            self._options["stop"] = list(stop)
        self._messages = list(messages)
        self._apart = unheard_config()
        self._answers: list[InnerAnswer] = []
        self._awaited: list[AwaitedReading] = []

    def pulled(self) -> PulledReading:
        """A fresh answer, read on the caller's thread."""
        answer = self._begun()
        return PulledReading(answer_pieces(self._streamed(), answer))

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
        answer = self._answers[-1] if self._answers else InnerAnswer()
        told = [one.usage for one in self._answers if one.usage is not None]
        return relayed(chunk, answer, reduce(add_usage, told) if told else None)

    def _streamed(self) -> Iterator[BaseMessage]:
        context, stack = copy_context(), ExitStack()
        try:
            context.run(stack.enter_context, unheard(self._apart))
            chunks = context.run(self._asked(awaited=False).stream, self._messages, self._apart, **self._options)
            stack.callback(cast(Generator[BaseMessage, None, None], chunks).close)
            while (chunk := context.run(next, chunks, None)) is not None:
                yield chunk
        finally:
            context.run(stack.close)

    async def _streamed_async(self) -> AsyncIterator[BaseMessage]:
        with unheard(self._apart):  # in the task that reads, which has a context of its own
            chunks = self._asked(awaited=True).astream(self._messages, self._apart, **self._options)
            async with aclosing(cast(AsyncGenerator[BaseMessage, None], chunks)):
                async for chunk in chunks:
                    yield chunk

    def _asked(self, awaited: bool) -> Runnable[Any, Any]:
        """The model that gives the next answer; only the first may come from its cache, or all would be the same."""
        model = self._model
        if not isinstance(model, BaseChatModel) or model._should_stream(
            async_api=awaited, **{**self._options, "stream": True}
        ):
            return model
        return UnkeptAnswers.of(model, known=len(self._answers) == 1)

    def _begun(self) -> InnerAnswer:
        self._answers.append(InnerAnswer())
        return self._answers[-1]


def _unbound(bound: Runnable[Any, Any]) -> tuple[Runnable[Any, Any], dict[str, Any]]:
    """A model without the options that were bound to it, and those."""
    options: dict[str, Any] = {}
    while isinstance(bound, RunnableBinding):
        options = {**bound.kwargs, **options}
        bound = bound.bound
    return bound, options
