"""From a question to the events of its answers. The same function stands behind every wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from langchain_core.messages import AIMessageChunk, BaseMessage

from ig_guardrail.drive.request import check, messages_before_answer
from ig_guardrail.guardrail import LARGE, Guardrail
from ig_guardrail.integrations.langchain.messages.blocks import RECORD, THOUGHT
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.langchain.messages.outcomes import CUT_OFF, generation_chunks
from ig_guardrail.integrations.langchain.options import CallOptions, call_options
from ig_guardrail.integrations.openai_server.events import Call, End, Event, ThoughtDelta, Told, Words
from ig_guardrail.stream.gate import behind
from ig_guardrail.types import Message

USUAL: Mapping[str, Any] = {  # of a question that says nothing else; None is the model's own
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "min_p": None,
    "repetition_penalty": None,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "logit_bias": (),
    "max_tokens": 1024,
    "stop": (),
    "seed": None,
    "timeout": None,
    "strategy": None,
    "language": "en",
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "reasoning": "auto",
    "reasoning_effort": None,
    "max_reasoning_tokens": None,
    "prompt_cache": True,
    "conversation": None,
    "tenant": None,
}
UNSAID = "No answer to this was found that the policy lets through."  # where a policy's own words cannot stand


@dataclass(frozen=True, slots=True)
class Question:
    """What a wire read: who is asked, what was said, and how to answer.

    model         as the caller names it
    options       by the names of `call_options`; never a conversation, a tenant or a deadline
    policy        the caller's choice among those of his key; None is the first of them
    conversation  names the conversation that the answer belongs to
    """

    model: str
    messages: tuple[BaseMessage, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    policy: str | None = None
    conversation: str | None = None


def read_options(question: Question, tenant: str | None, timeout: float | None) -> CallOptions:
    """The options of a question. Raises RequestError, naming the option, for what cannot be served."""
    settings = {**USUAL, "conversation": question.conversation, "tenant": tenant, "timeout": timeout}
    return call_options(settings, None, question.options)


def prompt_tokens(guardrail: Guardrail, question: Question, options: CallOptions) -> int:
    """Tokens that the model would read for a question: chat template, instructions, and what it is told of tools."""
    turns, within = messages_of(list(question.messages), guardrail.limits), options.within(guardrail)
    request = within.ask(turns)
    check(request, guardrail.limits)
    turns = messages_before_answer(request.turns)
    return len(guardrail.engine.encode(turns, request.thinking, request.notation).ids)


async def answer(guardrail: Guardrail, question: Question, options: CallOptions) -> AsyncGenerator[Told, None]:
    """The events of all answers, as each comes; every answer's last is an `End`.

    Several answers are decoded side by side, unless they spend one budget. Closing the generator stops them all within
    a step. Raises RequestError before anything is decoded, GenerationFailed where the guard failed.
    """
    read = partial(messages_of, list(question.messages), guardrail.limits)
    turns = await asyncio.to_thread(read) if _is_large(question) else read()
    each = options.within(guardrail).each()
    if len(each) == 1 or options.conversation is not None:
        for choice, one in enumerate(each):
            async with aclosing(_events(guardrail, one, turns)) as events:
                async for event in events:
                    yield Told(choice, event)
        return
    async with aclosing(_side_by_side([_events(guardrail, one, turns) for one in each])) as told:
        async for one_told in told:
            yield one_told


def _is_large(question: Question) -> bool:
    """Whether its messages take long to read: they are many, hold many calls or parts, or much text."""
    sizes = (len(one.content) + 100 * len(getattr(one, "tool_calls", ())) + 100 for one in question.messages)
    return sum(sizes) > LARGE


async def _events(
    guardrail: Guardrail, options: CallOptions, turns: tuple[Message, ...]
) -> AsyncGenerator[Event, None]:
    request = options.ask(turns)
    calls, cut = 0, False
    async with aclosing(guardrail.astream(request, options.timeout)) as chunks:
        async for chunk in chunks:
            for piece in generation_chunks(chunk, request.notation):
                message = cast(AIMessageChunk, piece.message)
                cut = cut or any(call["args"] == CUT_OFF for call in message.tool_call_chunks)
                for event in _read(message, calls, cut):
                    calls += isinstance(event, Call)
                    yield event


def _read(message: AIMessageChunk, calls: int, cut: bool) -> Iterator[Event]:
    """The events of a piece of an answer of which so many calls were told."""
    if message.additional_kwargs.get(THOUGHT):
        yield ThoughtDelta(message.additional_kwargs[THOUGHT])
    receipt: Mapping[str, Any] | None = message.response_metadata.get(RECORD)
    words, told = str(message.content), tuple(message.response_metadata.get("logprobs", {}).get("content", ()))
    refusal = "" if receipt is None else _refusal(receipt)
    if refusal and receipt is not None:
        words = words.removesuffix(receipt["message"]).removesuffix("\n\n") if receipt["message"] else words
    if words:
        yield Words(words, told)
        told = ()
    whole = [call for call in message.tool_call_chunks if call["args"] != CUT_OFF]
    for index, call in enumerate(whole, start=calls):
        yield Call(index, call["id"] or "", call["name"] or "", call["args"] or "{}", told)
        told = ()
    if receipt is not None:
        metadata, usage = message.response_metadata, message.usage_metadata
        verdict, finish = receipt["verdict"], metadata["finish_reason"]
        assert usage is not None
        stop, said = metadata.get("stop_sequence", ""), _said(receipt, refusal)
        yield End(verdict["outcome"], finish, refusal, cut, usage, told, receipt, stop, said)


def _refusal(receipt: Mapping[str, Any]) -> str:
    """What is said of an answer that the policy refused or ended."""
    if receipt["verdict"]["outcome"] not in ("refused", "ended"):
        return ""
    return receipt["message"] or UNSAID


def _said(receipt: Mapping[str, Any], refusal: str) -> str:
    """A refusal as it goes on behind what was shown of the answer."""
    if receipt["verdict"]["outcome"] != "ended":
        return refusal
    return behind(refusal) if receipt["text"].endswith(behind(refusal)) else ""


async def _side_by_side(answers: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[Told, None]:
    """The events of several answers as they come; where one fails the others are closed, and its error is raised."""
    waiting = {asyncio.ensure_future(anext(one, None)): choice for choice, one in enumerate(answers)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=waiting.__getitem__):
                choice, event = waiting.pop(task), task.result()
                if event is not None:
                    waiting[asyncio.ensure_future(anext(answers[choice], None))] = choice
                    yield Told(choice, event)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for one in answers:
            await one.aclose()
