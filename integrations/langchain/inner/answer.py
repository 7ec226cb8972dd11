"""An answer of somebody else's on its way through a guardrail: in as text that is judged, out as LangChain's messages.

Words are judged as they come. Tool calls are judged as text in the notation of `calls`, behind the words and with the
ids they came with; they are shown whole. Thoughts are left out, so nobody is shown them unjudged. What is not text
fails the answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import TypeAdapter, ValidationError

from ig_guardrail.engine.external.stream import Calls
from ig_guardrail.errors import EngineError, GenerationFailed, StreamFailed
from ig_guardrail.integrations.langchain.inner.endings import ending_of
from ig_guardrail.integrations.langchain.inner.pieces import CallParts, Characters, whole
from ig_guardrail.integrations.langchain.messages.conversation import CALLS, words_of
from ig_guardrail.integrations.langchain.messages.outcomes import answer_chunks as messages_of
from ig_guardrail.integrations.langchain.messages.outcomes import cut_call, ending, finish_reason
from ig_guardrail.text.calls import format_call, written_to
from ig_guardrail.types import Chunk

ShownPiece: TypeAlias = str | BaseMessage

_COUNTS: TypeAdapter[UsageMetadata | None] = TypeAdapter(UsageMetadata | None)
_USAGE = tuple(UsageMetadata.__annotations__)
_MIRRORED = CALLS | {"tool_call_chunk", "function_call", "input_json_delta"}  # blocks of what `tool_call_chunks` say


class InnerAnswer:
    """One answer of somebody else's: `read` makes text of it, `shown` messages of what the guardrail lets out.

    in_messages  whether it came as messages, not as plain strings
    finish       "length", "content_filter", or a host's own word where it ended so, else "stop"; see `endings`
    usage        tokens, if they were told
    """

    def __init__(self) -> None:
        self.in_messages = False
        self.finish = "stop"
        self.usage: UsageMetadata | None = None
        self._characters = Characters()
        self._parts = CallParts()
        self._calls: list[tuple[int, ToolCallChunk]] = []  # with where the text of each ends
        self._words = 0
        self._read = 0
        self._released = 0
        self._cut = ""

    def read(self, said: ShownPiece) -> str:
        """The words of a piece. Raises EngineError for what is not text."""
        if isinstance(said, str):
            words = said
        elif isinstance(said, BaseMessage):
            blocks = [said.content] if isinstance(said.content, str) else said.content
            words = "".join(map(_words_of, blocks))
            self._note(said)
        else:
            raise _not_text(type(said).__name__)
        words = _whole(self._characters.read, words)
        self._words += len(words)
        return words

    def end(self) -> str:
        """The calls, as text, when everything was read. Raises EngineError for one that cannot be read.

        Each has a line of its own, so that no words can hide it.
        """
        text = _whole(self._characters.end)
        for index, part in enumerate(self._parts.whole()):
            arguments, name = self._arguments(part), part["name"] or ""
            if arguments is None:  # cut off: it was not made, and no other is behind it
                self._cut = name
                text += f"\n{written_to(name)}"
                break
            try:
                told, args = format_call(name, arguments, part["id"]), _json(arguments)
            except RecursionError as error:
                raise _unreadable(name) from error
            text += _whole(whole, f"\n{told}")
            call = tool_call_chunk(name=name, args=args, id=part["id"], index=index)
            self._calls.append((self._words + len(text), call))
        self._read = self._words + len(text)
        return text

    def shown(self, text: str) -> tuple[str, list[ToolCallChunk]]:
        """The words of text that is let out next, and the calls that are whole with it."""
        left, before = max(0, self._words - self._released), self._released
        self._released += len(text)
        return text[:left], [call for end, call in self._calls if before < end <= self._released]

    @property
    def called(self) -> int:
        """How many calls were shown."""
        return sum(end <= self._released for end, _ in self._calls)

    @property
    def cut(self) -> str | None:
        """The name of a call that was begun and is not shown, "" if it was not judged; None where there is none."""
        if len(self._parts.whole()) <= self.called:
            return None
        return self._cut if self._read and self._released >= self._read else ""

    def _note(self, message: BaseMessage) -> None:
        """Calls, usage and finish reason of a message."""
        self.in_messages = True
        self.finish = ending_of(message.response_metadata) or self.finish
        if not isinstance(message, AIMessage):
            return
        usage = _counted(message.usage_metadata)
        if usage is not None:
            self.usage = add_usage(self.usage, usage)
        if isinstance(message, AIMessageChunk):
            self._parts.take(message.tool_call_chunks)
            return
        parts = [(made["name"], _json(made["args"]), made["id"]) for made in message.tool_calls]
        for call in message.invalid_tool_calls:
            if self.finish != "length":
                raise _unreadable(call["name"])
            parts.append((call["name"] or "", "", call["id"]))
        for index, (name, args, id) in enumerate(parts):
            self._parts.take([tool_call_chunk(name=name, args=args, id=id, index=index)])

    def _arguments(self, part: ToolCallChunk) -> dict[str, Any] | None:
        """The arguments of a call; None if the answer was cut off in them, which LangChain's parser would complete."""
        cut_off = self.finish == "length"
        try:
            arguments = json.loads(part["args"] or ("" if cut_off else "{}"))
        except (ValueError, RecursionError):
            arguments = None
        if isinstance(arguments, dict) and part["name"]:
            return arguments
        if cut_off:
            return None
        raise _unreadable(part["name"])


def _whole(read: Callable[..., str], *text: str) -> str:
    """What a reader of characters reads. Raises EngineError for half a character."""
    try:
        return read(*text)
    except UnicodeError as error:
        raise _not_text("half a character") from error


def _words_of(block: str | dict[Any, Any]) -> str:
    if isinstance(block, str):
        return block
    words = words_of(block, _MIRRORED)
    if words is None:
        raise _not_text(f"a content block of type '{block.get('type')}'")
    return words


def _counted(told: Mapping[str, Any] | None) -> UsageMetadata | None:
    """The tokens that a message tells of; None where it has no counts, as one from a cache."""
    try:
        return _COUNTS.validate_python({name: told[name] for name in _USAGE if name in told} if told else None)
    except ValidationError:
        return None


def _json(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, default=str)


def _not_text(what: str) -> EngineError:
    return EngineError(
        f"the answer holds {what}, which is not text",
        where="answer",
        why="the policy's cost models read text, and what was not judged may not be shown",
        fix="ask the model for text and tool calls only",
    )


def _unreadable(name: str | None) -> EngineError:
    return EngineError(
        f"the answer holds a call of '{name}' whose arguments are no JSON object",
        where="answer",
        why="a call that cannot be read cannot be judged",
        fix="ask again",
    )


def answer_pieces(said: Iterator[ShownPiece], answer: InnerAnswer) -> Generator[str, None, None]:
    """The text of `answer` as it comes. Closes what it reads from."""
    try:
        for piece in said:
            yield answer.read(piece)
        yield Calls(answer.end())
    finally:
        close = getattr(said, "close", None)
        if close is not None:
            close()


async def spoken_async(said: AsyncIterator[ShownPiece], answer: InnerAnswer) -> AsyncGenerator[str, None]:
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


def relayed(chunk: Chunk, answer: InnerAnswer, usage: UsageMetadata | None) -> Iterator[ChatGenerationChunk]:
    """A piece of the guardrail's stream as LangChain's; the last one has the receipt and `usage`."""
    if chunk.receipt is None:
        yield from messages_of(*answer.shown(chunk.text))
        return
    outcome, cut = chunk.receipt.verdict.outcome, answer.cut
    if cut is not None and outcome in ("completed", "cancelled"):
        yield from messages_of("", [cut_call(cut, answer.called)])
    reason = finish_reason(chunk.receipt.verdict, called=answer.called > 0 and cut is None)
    yield ending(chunk.text, chunk.receipt, answer.finish if reason == "stop" else reason, usage)
