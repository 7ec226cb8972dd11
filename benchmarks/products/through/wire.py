"""How a product is asked, each in an environment of its own: a question a line comes in, what a reader sees goes out.

In:   {"prompt": TEXT, "seed": N, "max_tokens": N}
Out:  {"text": TEXT} as often as the product hands text to a reader, then {"end": WHY, "said": TEXT, "checks": N}

    whole   the answer came to its end by itself
    parts   it came to its end, and sentences were left out of it
    canned  its reader is given a fixed text (`said`) in its place, or behind its beginning
    error   its reader is given an error (`said`), or a stream that just ends

Products print what they like: it goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

HOST = os.environ.get("PRODUCT_HOST", "")  # http://127.0.0.1:PORT
PLAIN = f"{HOST}/plain/v1"  # the unguarded model
MODEL = "embedded"
TEMPERATURE, TOP_P = 0.7, 0.95

Asked = dict[str, Any]
Told = dict[str, Any]


class Verdict:
    """What every product's own kind of check asks for: whether the policy lets a text through, as an answer to this."""

    def __init__(self) -> None:
        self.prompt, self.count = "", 0

    def allows(self, text: str) -> bool:
        """Of what was said so far, as our server judges it."""
        self.count += 1
        body = json.dumps({"inputs": [{"prompt": self.prompt, "text": text}]}).encode()
        head = {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{HOST}/v1/guard/check", body, head)) as reply:
            return bool(json.load(reply)["allowed"])

    async def allows_async(self, text: str) -> bool:
        return await asyncio.to_thread(self.allows, text)


VERDICT = Verdict()


def messages(asked: Asked) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked["prompt"]}]


def sampled(asked: Asked) -> dict[str, Any]:
    """How an answer is drawn, by the names of OpenAI's API."""
    return {"temperature": TEMPERATURE, "top_p": TOP_P, "seed": asked["seed"], "max_tokens": asked["max_tokens"]}


def text(piece: str) -> Told:
    return {"text": piece}


def end(why: str, said: str = "") -> Told:
    return {"end": why, "said": said}


def serve(answer: Callable[[Asked], AsyncIterator[Told]], ready: Callable[[], Awaitable[None]] | None = None) -> None:
    """Answer what comes in, one after another, until nothing more comes."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(told: Told) -> None:
        out.write(json.dumps(told) + "\n")
        out.flush()

    async def work() -> None:
        if ready is not None:
            await ready()
        tell({"ready": True})
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            VERDICT.prompt, VERDICT.count = asked["prompt"], 0
            ended = False
            async for told in answer(asked):
                ended = "end" in told
                tell(told | ({"checks": VERDICT.count} if ended else {}))
                if ended:
                    break
            if not ended:
                raise RuntimeError("an answer has no end")

    asyncio.run(work())
