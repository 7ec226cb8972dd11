"""OpenAI guardrails (openai-guardrails): its client, with a registered check in the stage `output`.

python openai_checks.py stream|whole
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import wire
from guardrails import (
    GuardrailResult,
    GuardrailsAsyncOpenAI,
    GuardrailTripwireTriggered,
    default_spec_registry,
)
from pydantic import BaseModel

CONFIG = {"version": 1, "output": {"version": 1, "guardrails": [{"name": "Budget", "config": {}}]}}
STREAM = sys.argv[1] == "stream"


class Nothing(BaseModel):
    """What the check is configured by."""


async def budget(ctx: Any, data: str, config: Nothing) -> GuardrailResult:
    """The check."""
    return GuardrailResult(tripwire_triggered=not await wire.VERDICT.allows_async(data), info={})


default_spec_registry.register("Budget", budget, "keeps budgets", "text/plain")
CLIENT = GuardrailsAsyncOpenAI(config=CONFIG, base_url=wire.PLAIN, api_key="none", max_retries=0)


async def answer(asked: wire.Asked) -> AsyncIterator[wire.Told]:
    """Streamed as its documentation shows, or whole; a tripwire is an exception."""
    options = {"model": wire.MODEL, "messages": wire.messages(asked), **wire.sampled(asked)}
    try:
        found = await CLIENT.chat.completions.create(stream=STREAM, **options)
        if not STREAM:
            yield wire.text(found.choices[0].message.content)
        else:
            async for chunk in found:
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield wire.text(choice.delta.content)
    except GuardrailTripwireTriggered as error:
        yield wire.end("error", type(error).__name__)
    else:
        yield wire.end("whole")


wire.serve(answer)
