"""Decodes an answer for the page: what is released as it comes, and beside it what a watcher tells of its drafts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.answering import Question, answer, read_options
from ig_guardrail.integrations.openai_server.events import Call, End, Event, ThoughtDelta, Words
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.studio.config import StudioConfig
from ig_guardrail.integrations.openai_server.studio.watching import Frame, Watcher
from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.meaning import receipts

MODEL = "studio"
SECONDS = 600.0  # of one answer
OPTIONS = ("seed", "max_tokens", "temperature", "strategy", "language", "reasoning")


def question_of(body: Mapping[str, Any], most_tokens: int) -> Question:
    """What is asked: a prompt, a system text and options. Raises Refused, naming the field."""
    prompt, system = body.get("prompt"), body.get("system") or ""
    if not isinstance(prompt, str) or not prompt.strip():
        raise unfit("there is no prompt", "prompt")
    if not isinstance(system, str):
        raise unfit("it is no text", "system")
    given = body.get("options") or {}
    if not isinstance(given, Mapping) or not set(given) <= set(OPTIONS):
        raise unfit(f"there are {', '.join(OPTIONS)}", "options")
    options = {name: value for name, value in given.items() if value not in (None, "")}
    room = options.setdefault("max_tokens", 200)
    if isinstance(room, bool) or not isinstance(room, int) or not 0 < room <= most_tokens:
        raise unfit(f"a whole number from 1 to {most_tokens} is needed", "options.max_tokens")
    conversation = body.get("conversation") or f"studio {uuid4().hex}"
    if not isinstance(conversation, str):
        raise unfit("it is no text", "conversation")
    before: list[BaseMessage] = [SystemMessage(system)] if system.strip() else []
    return Question(MODEL, (*before, HumanMessage(prompt)), options, conversation=conversation)


async def frames(guardrail: Guardrail, question: Question, config: StudioConfig) -> AsyncGenerator[Frame, None]:
    """What the page is told of an answer; closing the generator stops decoding within a step.

    Raises RequestError before anything is decoded, GenerationFailed where the guard failed.
    """
    options = read_options(question, question.conversation, SECONDS)
    waiting: asyncio.Queue[Frame | None] = asyncio.Queue()
    watched = guardrail.observed(Watcher(waiting.put_nowait, config.show_drafts))

    async def decode() -> None:
        try:
            async with aclosing(answer(watched, question, options)) as told:
                async for one in told:
                    waiting.put_nowait(frame_of(one.event))
        finally:
            waiting.put_nowait(None)

    decoding = asyncio.create_task(decode())
    try:
        yield {"type": "began", "policy": facts_of(guardrail.policy)}
        while (frame := await waiting.get()) is not None:
            yield frame
        await decoding
    finally:
        decoding.cancel()
        await asyncio.gather(decoding, return_exceptions=True)


def facts_of(policy: CompiledPolicy) -> dict[str, Any]:
    """What the page shows of a policy beside its text."""
    return {
        "name": policy.name,
        "version": policy.version,
        "sha256": policy.sha256,
        "budgets": [
            {
                "id": one.id,
                "mode": one.mode,
                "threshold": one.threshold,
                "budget": one.budget,
                "hazards": list(one.hazards),
                "scope": one.scope,
            }
            for one in policy.budgets
        ],
    }


def frame_of(event: Event) -> Frame:
    """An event of an answer, as the page is told it."""
    match event:
        case Words():
            return {"type": "words", "text": event.text}
        case ThoughtDelta():
            return {"type": "thought", "text": event.text}
        case Call():
            return {"type": "call", "name": event.name, "arguments": event.arguments}
        case End():
            return _end(event)


def _end(event: End) -> Frame:
    receipt = event.receipt
    return {
        "type": "end",
        "outcome": event.outcome,
        "finish": event.finish,
        "message": event.refusal,
        "seed": str(receipt["sampling"]["seed"]),  # of 63 bits, which numbers of a browser do not hold
        "tokens": receipt["tokens"],
        "seconds": receipt["seconds"],
        "meaning": receipts.as_dict(receipts.explain_receipt(receipt)),
    }
