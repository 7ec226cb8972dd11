"""What a caller of LangChain sees of an answer: chunks, and on the last one the finish reason, usage and receipt.

outcome     finish_reason    content
completed   stop | length    the answer
            tool_calls       words, if any, and whole calls
            stop | length    the same, and an invalid call where the last one was cut off
refused     content_filter   the policy's refusal
ended       content_filter   the safe prefix, then the policy's closing message
cancelled   cancelled        what was shown before the deadline; "stop" or "length" would claim an answer
failed      -                GenerationFailed is raised, with the receipt

Exactly one chunk, the last, carries metadata beyond the provider's name and the log-probabilities of a chunk's tokens,
which are lists: LangChain merges the metadata of chunks, and refuses to merge numbers. What the policy says comes with
that chunk, so that it is known for what it is.

Also here: prompts that are too long, as LangChain knows them, so that what shortens conversations may do so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation

from ig_guardrail.errors import GenerationFailed, PromptTooLong
from ig_guardrail.integrations.langchain.messages.blocks import PROVIDER, RECORD, THOUGHT, register
from ig_guardrail.stream.receipt import as_json
from ig_guardrail.text.calls import parse_calls
from ig_guardrail.types import CallNotation, Chunk, Receipt, TokenLogprob, Verdict

register()

CUT_OFF = "(cut off before it was whole, so it is not shown)"  # in place of the arguments of a call
OF = {"refusal": None, "of": "the model, before the guard"}  # log-probabilities; the guard may have chosen against it
IMPOSSIBLE = -9999.0  # OpenAI's number for a token that the model would never have written


def generation_chunks(chunk: Chunk, notation: CallNotation | None = None) -> Iterator[ChatGenerationChunk]:
    """A piece of the stream as LangChain's; the one with the receipt is marked as the last.

    notation: of calls, if the answer may hold any. A guardrail shows them whole, in one piece; here they follow its
    words.
    """
    words, calls = _parts(chunk.text, notation)
    if chunk.reasoning:
        yield thought_chunk(chunk.reasoning)
    if chunk.receipt is None:
        told = _logprobs(chunk.logprobs or ())
        for piece in answer_chunks(words, calls):
            piece.message.response_metadata.update(told)
            told = {}
            yield piece
        return
    made = len(parse_calls(chunk.receipt.text, notation=notation)[1]) if notation else 0
    calls += [] if chunk.cut is None else [cut_call(chunk.cut, made)]
    if calls:
        yield from answer_chunks(words, calls)
        words = ""
    reason = finish_reason(chunk.receipt.verdict, called=made > 0 and chunk.cut is None)
    last = ending(words, chunk.receipt, reason, _usage(chunk.receipt, cut=chunk.cut is not None))
    if chunk.logprobs is not None and chunk.receipt.tokens["released"]:
        told = _logprobs(chunk.logprobs)
        last.message.response_metadata["logprobs"] = {"content": [], **told.get("logprobs", {}), **OF}
    last.message.response_metadata.update({"stop_sequence": chunk.stop} if chunk.stop else {})
    yield last


def thought_chunk(text: str) -> ChatGenerationChunk:
    """A piece of a thought, where LangChain looks for it: its content blocks show it as one of type `reasoning`."""
    origin = {"model_provider": PROVIDER}
    return ChatGenerationChunk(
        message=AIMessageChunk(content="", additional_kwargs={THOUGHT: text}, response_metadata=origin)
    )


def answer_chunks(words: str, calls: Sequence[ToolCallChunk]) -> Iterator[ChatGenerationChunk]:
    """Words, and then calls, in chunks of their own; nothing where there is nothing."""
    origin = {"model_provider": PROVIDER}
    if words:
        yield ChatGenerationChunk(message=AIMessageChunk(content=words, response_metadata=origin))
    if calls:
        message = AIMessageChunk(content="", tool_call_chunks=list(calls), response_metadata=origin)
        yield ChatGenerationChunk(message=message)


def cut_call(name: str, index: int) -> ToolCallChunk:
    """A call that was cut off. Its arguments are no JSON, however LangChain repairs them, so it is an invalid call."""
    return tool_call_chunk(name=name or None, args=CUT_OFF, id=_call_id(), index=index)


def ending(words: str, receipt: Receipt, reason: str, usage: UsageMetadata | None) -> ChatGenerationChunk:
    """The last chunk. Raises GenerationFailed if the guard failed."""
    if receipt.verdict.outcome == "failed":
        raise GenerationFailed("the guard failed while it worked", why=receipt.verdict.reason, receipt=receipt)
    metadata: dict[str, Any] = {
        "model_provider": PROVIDER,
        "finish_reason": reason,
        "model_name": receipt.model["name"],
        RECORD: _plain(receipt),
    }
    if receipt.bounded:
        metadata["bounded"] = list(receipt.bounded)
    last = AIMessageChunk(content=words, response_metadata=metadata, usage_metadata=usage, chunk_position="last")
    return ChatGenerationChunk(message=last)


def finish_reason(verdict: Verdict, called: bool = False) -> str:
    """LangChain's word for an outcome; see the table above."""
    if verdict.outcome == "completed":
        return "tool_calls" if called else verdict.finish or "stop"
    return "cancelled" if verdict.outcome == "cancelled" else "content_filter"


def is_cacheable(generations: Sequence[Generation]) -> bool:
    """Whether all of them may be given again: answers that ran to their end, and were charged to no conversation."""
    return all(
        isinstance(generation, ChatGeneration)
        and generation.message.response_metadata.get("finish_reason") in ("stop", "length", "tool_calls")
        and not generation.message.response_metadata.get(RECORD, {}).get("turn")
        for generation in generations
    )


def _parts(text: str, notation: CallNotation | None) -> tuple[str, list[ToolCallChunk]]:
    """Words, and the calls behind them."""
    if notation is None:
        return text, []
    words, calls = parse_calls(text, notation=notation)
    if not calls:  # a value may speak of calls without being one
        return text, []
    return words, [
        tool_call_chunk(
            name=call.name,
            args=json.dumps(call.arguments, ensure_ascii=False),
            id=_call_id(),
            index=index,
        )
        for index, call in enumerate(calls)
    ]


def _call_id() -> str:
    return f"call_{uuid4().hex[:24]}"


def _logprobs(chances: Sequence[TokenLogprob]) -> dict[str, Any]:
    """In OpenAI's form."""
    if not chances:
        return {}
    told = [
        {**_chance(one.spelled, one.logprob), "top_logprobs": [_chance(*other) for other in one.top]} for one in chances
    ]
    return {"logprobs": {"content": told}}


def _chance(spelled: bytes, logprob: float) -> dict[str, Any]:
    return {"token": spelled.decode("utf-8", "replace"), "bytes": list(spelled), "logprob": max(logprob, IMPOSSIBLE)}


def _plain(receipt: Receipt) -> Mapping[str, Any]:
    """The receipt in dicts, lists, strings and numbers, so that any tracer can store it."""
    record: dict[str, Any] = json.loads(as_json(receipt))
    return record


def _usage(receipt: Receipt, cut: bool) -> UsageMetadata:
    """Tokens read, and answer tokens shown, with those of a call that was cut off, and of a thought that is hidden.

    What the search drew beside them is in the receipt.
    """
    read, thought = receipt.tokens["prompt"], receipt.tokens["reasoning"]
    shown = max(thought, receipt.tokens["released"] + (receipt.tokens["held"] if cut else 0))
    usage = UsageMetadata(input_tokens=read, output_tokens=shown, total_tokens=read + shown)
    if receipt.tokens["cached"]:
        usage["input_token_details"] = InputTokenDetails(cache_read=receipt.tokens["cached"])
    if thought:
        usage["output_token_details"] = OutputTokenDetails(reasoning=thought)
    return usage


class ContextOverflow(PromptTooLong, ContextOverflowError):
    """A prompt that is too long, under both names."""


@contextmanager
def overflow_told() -> Iterator[None]:
    """Raise ContextOverflow where PromptTooLong is raised."""
    try:
        yield
    except PromptTooLong as error:
        raise ContextOverflow(error.what, where=error.where, why=error.why, fix=error.fix) from error
