"""An answer of somebody else's on its way through a guardrail: in as text, out as messages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import contextmanager

from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from ig_guardrail.engine.reading import Calls
from ig_guardrail.errors import GenerationFailed, StreamFailed
from ig_guardrail.integrations.langchain.outcomes import cut_call, ending, finish_reason
from ig_guardrail.integrations.langchain.outcomes import said as messages_of
from ig_guardrail.integrations.langchain.spoken import Answer, Said
from ig_guardrail.types import Chunk


def spoken(said: Iterator[Said], answer: Answer) -> Generator[str, None, None]:
    """The text of `answer` as it comes. Closes what it reads from."""
    try:
        for piece in said:
            yield answer.read(piece)
        yield Calls(answer.end())
    finally:
        close = getattr(said, "close", None)
        if close is not None:
            close()


async def spoken_async(said: AsyncIterator[Said], answer: Answer) -> AsyncGenerator[str, None]:
    """The same, awaited."""
    try:
        async for piece in said:
            yield answer.read(piece)
        yield Calls(answer.end())
    finally:
        close = getattr(said, "aclose", None)
        if close is not None:
            await close()


@contextmanager
def errors_of_others() -> Iterator[None]:
    """Where an answer failed since whoever wrote it raised an error, raise that one, as if there were no guard."""
    try:
        yield
        return
    except GenerationFailed as failed:
        if not isinstance(failed.__cause__, StreamFailed) or failed.__cause__.__cause__ is None:
            raise
        theirs = failed.__cause__.__cause__
    raise theirs


def relayed(chunk: Chunk, answer: Answer, usage: UsageMetadata | None) -> Iterator[ChatGenerationChunk]:
    """A piece of the guardrail's stream as LangChain's; the last one has the receipt and `usage`."""
    if chunk.receipt is None:
        yield from messages_of(*answer.shown(chunk.text))
        return
    outcome, cut = chunk.receipt.verdict.outcome, answer.cut
    if cut is not None and outcome in ("completed", "cancelled"):
        yield from messages_of("", [cut_call(cut, answer.called)])
    reason = finish_reason(chunk.receipt.verdict, called=answer.called > 0 and cut is None)
    yield ending(chunk.text, chunk.receipt, answer.finish if reason == "stop" else reason, usage)
