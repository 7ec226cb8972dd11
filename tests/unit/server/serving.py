"""A real server on a unix socket, in a thread of its own, and the official client that talks to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import openai
import uvicorn

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.app import make_app
from ig_guardrail.integrations.openai_server.served import ServedModel
from ig_guardrail.integrations.openai_server.server import Server
from ig_guardrail.integrations.openai_server.settings.serve_config import ServeConfig
from ig_guardrail.spec import GuardrailSpec

MODEL = "scripted"


def server_of(*, guardrails: dict[str, Guardrail], **settings: Any) -> Server:
    """A server over guardrails that are open."""
    config = ServeConfig(GuardrailSpec(), {name: name for name in guardrails}, MODEL, **settings)
    return Server(config, ServedModel(MODEL, guardrails))


@contextmanager
def running(server: Server, at: Any = None) -> Iterator[str]:
    """The socket of a running server; it is told to stop in the end, and has stopped. at: a bound socket instead"""
    with TemporaryDirectory() as folder:
        socket = str(Path(folder) / "socket")
        config = uvicorn.Config(make_app(server), uds=socket, log_level="warning", timeout_graceful_shutdown=5)
        process = uvicorn.Server(config)
        started = threading.Event()

        async def serve() -> None:
            task = asyncio.create_task(process.serve(None if at is None else [at]))
            while not process.started and not task.done():
                await asyncio.sleep(0.005)
            started.set()
            await task

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        started.wait(60)
        try:
            yield socket
        finally:
            process.should_exit = True
            thread.join(30)


def http(socket: str, **settings: Any) -> httpx2.Client:
    """A plain client of a socket."""
    return httpx2.Client(
        transport=httpx2.HTTPTransport(uds=socket), base_url="http://localhost", timeout=60, **settings
    )


@contextmanager
def client(socket: str, key: str = "none") -> Iterator[openai.OpenAI]:
    """The official client of a socket."""
    plain = httpx2.Client(transport=httpx2.HTTPTransport(uds=socket), timeout=60)
    with openai.OpenAI(base_url="http://localhost/v1", api_key=key, http_client=plain, max_retries=0) as made:
        yield made


def until(told: Callable[[], bool]) -> None:
    """Returns once it is so; fails where it never is."""
    for _ in range(3000):
        if told():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came to be")
