"""Callers of a server on a unix socket: streams that are read, that are left, and that nobody reads."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ig_guardrail.errors import GuardrailError

HOST = Path(__file__).parent / "host.py"
SEED = 11
PATIENCE_S = 300.0
Pipes = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Read:
    """A stream that was read to its end.

    times    when each piece of text came, `perf_counter` seconds
    letters  of each piece
    """

    tokens: int
    times: tuple[float, ...]
    letters: tuple[int, ...]

    @property
    def token_s(self) -> float:
        """Seconds for a token, behind the first piece."""
        behind = self.tokens * (1 - self.letters[0] / sum(self.letters))
        return (self.times[-1] - self.times[0]) / behind


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs. origin: what its figures depend on; ends: tokens that end answers"""

    socket: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    ends: Sequence[int] = ()

    def asked(self, words: int, tokens: int, policy: str = "calm", **more: Any) -> dict[str, Any]:
        """A harmless request for an answer of exactly so many tokens, streamed."""
        said = "Tell a long story about the sea" + " and the wind" * words
        return {
            "model": f"embedded:{policy}",
            "messages": [{"role": "user", "content": said}],
            "max_tokens": tokens,
            "temperature": 0.7,
            "top_p": 0.95,
            "seed": SEED,
            "stream": True,
            "logit_bias": {str(token): -100 for token in self.ends} if policy == "calm" else {},
            **more,
        }

    async def held(self) -> dict[str, Any]:
        """What the server holds now."""
        async with self._sent("GET", "/held") as (reader, _):
            found: dict[str, Any] = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        return found

    async def read(self, asked: Mapping[str, Any]) -> Read:
        """Read a stream to its end. Raises GuardrailError unless it has as many tokens as were asked for."""
        times, letters, last = [], [], b""
        async with self.streaming(asked) as (reader, _):
            async for line in reader:
                if is_text(line):
                    times.append(time.perf_counter())
                    letters.append(len(_data(line)["choices"][0]["delta"]["content"]))
                if b'"finish_reason":"' in line:
                    last = line
        if not last:
            raise GuardrailError("a stream had no end", where="benchmark")
        tokens = _data(last)["ig_guardrail"]["tokens"]["released"]
        if tokens != asked["max_tokens"]:
            raise GuardrailError(f"{tokens} tokens instead of {asked['max_tokens']}", where="benchmark")
        return Read(tokens, tuple(times), tuple(letters))

    @asynccontextmanager
    async def streaming(self, asked: Mapping[str, Any]) -> AsyncIterator[Pipes]:
        """A request that was sent, and what comes of it."""
        async with self._sent("POST", "/v1/chat/completions", json.dumps(asked).encode()) as pipes:
            yield pipes

    @asynccontextmanager
    async def _sent(self, method: str, path: str, body: bytes = b"") -> AsyncIterator[Pipes]:
        reader, writer = await asyncio.open_unix_connection(self.socket, limit=2**24)
        writer.write(_request(method, path, body))
        await writer.drain()
        try:
            yield reader, writer
        finally:
            writer.close()

    @contextmanager
    def unread(self, asked: Mapping[str, Any]) -> Iterator[None]:
        """A request that was sent, and of whose answer no byte is read."""
        with closing(socket.socket(socket.AF_UNIX)) as pipe:
            pipe.connect(self.socket)
            pipe.sendall(_request("POST", "/v1/chat/completions", json.dumps(asked).encode()))
            yield


def is_text(line: bytes) -> bool:
    """Whether an event of a stream holds a piece of text."""
    return b'"content":"' in line and b'"content":""' not in line


def _data(line: bytes) -> Any:
    return json.loads(line[line.index(b"{") :])


def _request(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def running_server() -> Iterator[Running]:
    """A server in a process of its own."""
    with TemporaryDirectory() as folder:
        place = str(Path(folder) / "socket")
        with subprocess.Popen([sys.executable, str(HOST), place], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = process.stdout.readline()
            try:
                if not told:
                    raise GuardrailError("the server did not start", where="benchmark")
                yield Running(place, **json.loads(told))
            finally:
                process.terminate()
                process.wait(PATIENCE_S)
