"""OpenAI's own client on a server: ours, and the unguarded model.

python client.py URL
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import openai
import wire

CLIENT = openai.AsyncOpenAI(base_url=sys.argv[1] if len(sys.argv) > 1 else "", api_key="none", max_retries=0)


async def answer(asked: wire.Asked) -> AsyncIterator[wire.Told]:
    """Streamed; a refusal is what the server said in the answer's place, or behind its beginning."""
    stream = await CLIENT.chat.completions.create(
        model=wire.MODEL, messages=wire.messages(asked), stream=True, **wire.sampled(asked)
    )
    refusal, finish = "", None
    async for chunk in stream:
        for choice in chunk.choices:
            if choice.delta.content:
                yield wire.text(choice.delta.content)
            refusal += choice.delta.refusal or ""
            finish = choice.finish_reason or finish
    yield wire.end("canned" if refusal or finish == "content_filter" else "whole", refusal)


if __name__ == "__main__":
    wire.serve(answer)
