"""Two answers at once on one event loop, each shown as it is released; one is given up half-way.

python examples/stream_async.py
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from ig_guardrail import ChatIGGuardrail


async def tell(model: ChatIGGuardrail, name: str, question: str) -> None:
    """Print an answer piece by piece, then its outcome."""
    async for chunk in model.astream(question):
        if chunk.text:
            print(f"[{name}] {chunk.text!r}")
        if "ig_guardrail" in chunk.response_metadata:
            verdict = chunk.response_metadata["ig_guardrail"]["verdict"]
            print(f"[{name}] {verdict['outcome']} ({chunk.response_metadata['finish_reason']})")


async def give_up(model: ChatIGGuardrail, name: str, question: str) -> None:
    """Leave after the first piece: decoding stops within one step, and its memory is freed."""
    async with aclosing(model.astream(question)) as chunks:
        async for chunk in chunks:
            print(f"[{name}] {chunk.text!r} ... that is enough")
            return


async def main() -> None:
    model = ChatIGGuardrail(max_tokens=48, seed=2)
    await asyncio.gather(
        tell(model, "tea", "How do I make a pot of tea?"),
        give_up(model, "story", "Tell me a long story about a lighthouse."),
    )


if __name__ == "__main__":
    asyncio.run(main())
