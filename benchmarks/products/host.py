"""One model behind two doors: unguarded, a token at a time, for products that guard it; and guarded by us.

    python benchmarks/products/host.py MODEL DRAFTS    prints a port of this machine; serves until its input is closed

`/plain/v1` is the unguarded model by OpenAI's API: each answer is drawn once (DRAFTS, a file of JSON Lines, keeps
them), and given again and again, a token each PACE_S seconds. `/v1` is `ig-guardrail serve` under the packaged
policy: chat completions are our answers, and `/v1/guard/check` is the verdict that every product asks for. Both
doors are given the same drafts by the same seeds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.engine.base import Engine
from ig_guardrail.integrations.openai_server.app import make_app
from ig_guardrail.integrations.openai_server.served import ServedModel
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Draw, Sampling
from ig_guardrail.types import Message as Turn

POLICY, SERVED = "default", "embedded"
PACE_S = 0.01

Pieces: TypeAlias = AsyncIterator[tuple[str, str | None]]


async def drafted(engine: Engine, body: dict[str, Any]) -> Pieces:
    """The unguarded answer, a token at a time: what it adds to the text, and why it ended, once it has."""
    turns = tuple(Turn(turn["role"], turn["content"]) for turn in body["messages"])
    asked = {name: body[name] for name in ("temperature", "top_p", "seed")}  # a product that drops one is no rival
    sampling = Sampling(max_tokens=most_of(body), **asked)
    node = root = await asyncio.wrap_future(engine.open(engine.encode(turns), sampling))
    try:
        while node.finish is None:
            (child,) = await asyncio.wrap_future(engine.extend([Draw(node)], 1))
            yield child.text[len(node.text) :], child.finish
            node = child
    finally:
        engine.close(root)


def most_of(body: dict[str, Any]) -> int:
    return int(next(body[name] for name in ("max_tokens", "max_completion_tokens") if body.get(name)))


class Drawn:
    """Answers that were drawn once, by what was asked, and the file that keeps them."""

    def __init__(self, engine: Engine, kept: Path) -> None:
        self._engine, self._kept = engine, kept
        lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else ()
        self._known = {one["asked"]: one["pieces"] for one in map(json.loads, lines)}

    async def again(self, body: dict[str, Any]) -> Pieces:
        """The same as `drafted`; drawn now if it is new, and then at a steady pace."""
        said = [[turn["role"], turn["content"]] for turn in body["messages"]]
        asked = json.dumps([said, body["temperature"], body["top_p"], body["seed"], most_of(body)])
        if asked not in self._known:
            self._known[asked] = [piece async for piece in drafted(self._engine, body)]
            with self._kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"asked": asked, "pieces": self._known[asked]}) + "\n")
        for text, finish in self._known[asked]:
            await asyncio.sleep(PACE_S)
            yield text, finish


class Judged:
    """ASGI: what was judged once is told again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._known = app, dict[bytes, list[Message]]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != "/v1/guard/check":
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        if body not in self._known:
            told: list[Message] = []

            first = iter([body])

            async def read() -> Message:
                for whole in first:
                    return {"type": "http.request", "body": whole, "more_body": False}
                return await receive()  # that the caller left, one day

            async def keep(message: Message) -> None:
                told.append(message)

            await self._app(scope, read, keep)
            self._known[body] = told
        for message in self._known[body]:
            await send(message)


def plain_route(drawn: Drawn) -> Route:
    """Chat completions of the unguarded model."""

    async def complete(request: Request) -> Response:
        body = await request.json()
        pieces = drawn.again(body)
        if body.get("stream"):
            return StreamingResponse(events(pieces), media_type="text/event-stream")
        parts = [piece async for piece in pieces]
        said = {"role": "assistant", "content": "".join(text for text, _ in parts)}
        told = {"index": 0, "message": said, "finish_reason": parts[-1][1]}
        usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)  # some clients look for it
        return JSONResponse(written("chat.completion", told) | {"usage": usage})

    return Route("/plain/v1/chat/completions", complete, methods=["POST"])


async def events(pieces: Pieces) -> AsyncIterator[str]:
    async for piece, finish in pieces:
        told = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": finish}
        yield f"data: {json.dumps(written('chat.completion.chunk', told))}\n\n"
    yield "data: [DONE]\n\n"


def written(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-plain", "object": kind, "created": 0, "model": SERVED, "choices": [choice]}


def main(model: str, drafts: str) -> None:
    torch.set_num_threads(1)
    guardrail = open_guardrail(GuardrailSpec(model=model, policy=POLICY))
    config = ServeConfig(GuardrailSpec(), {POLICY: POLICY}, SERVED)
    app = make_app(Server(config, ServedModel(SERVED, {POLICY: guardrail})))
    app.router.routes.append(plain_route(Drawn(guardrail.engine, Path(drafts))))
    server = uvicorn.Server(uvicorn.Config(Judged(app), port=0, log_level="warning", access_log=False))
    socket = server.config.bind_socket()
    socket.listen()
    told = {"port": socket.getsockname()[1], "policy": guardrail.policy.sha256, "engine": guardrail.engine.info.mode}
    print(json.dumps(told), flush=True)

    def wait() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=wait, daemon=True).start()
    server.run(sockets=[socket])


if __name__ == "__main__":
    main(*sys.argv[1:])
