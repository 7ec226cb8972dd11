"""A server over HTTP: JSON out, JSON in, of limited size and in limited time.

What a server says is never repeated in an error: it may hold the conversation, the answer or the key. A request is
asked again only where nothing can have been drawn for it: no connection came about, or it was turned away (429, 503).
Leaving a request closes its connection, by which servers notice that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from ig_guardrail.causes import log_cause
from ig_guardrail.engine.openai_compatible.options import ServerOptions
from ig_guardrail.errors import EngineError, ModelError, brief
from ig_guardrail.extras import require
from ig_guardrail.fields.addresses import THIS_MACHINE

if TYPE_CHECKING:
    from openai import DefaultAsyncHttpxClient

RETRIES = 2
PAUSE_S = 0.25  # before the first retry, twice that before the second; a server may ask for more, up to
LONGEST_PAUSE_S = 5.0
CONNECT_S = 5.0
SMALL = 1 << 20  # bytes of an answer about the server itself
TURNED_AWAY = (429, 503)
_UNCONNECTED = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # by name: `openai` 2 brings httpx, 3 httpx2

_FIXES: Mapping[int, str] = {
    400: "see the server's log: it does not take a request of this form",
    401: "check the key in the environment variable that `api_key_env` names",
    403: "check the key in the environment variable that `api_key_env` names",
    404: "check `base_url` and the model's name; `ig-guardrail doctor --engine-url URL` tells what the server serves",
    429: "raise the server's limits, or ask it less at once (`parallel`)",
    503: "wait until the server is ready",
}


class ServerError(EngineError):
    """A server did not answer, or answered what cannot be used; nothing of the answer was taken.

    status: of the HTTP answer; 200 for one that cannot be used, None where there was none
    """

    def __init__(self, what: str, *, where: str, fix: str, status: int | None) -> None:
        super().__init__(what, where=where, why="what cannot be checked is neither judged nor shown", fix=fix)
        self.status = status


class BadAnswer(Exception):
    """An answer cannot be used; says what is wrong with it, in words of ours alone."""


class ModelServer:
    """One server, asked through a client that this owns. Its coroutines run on one event loop."""

    def __init__(self, options: ServerOptions, client: Any = None) -> None:
        """client: an asynchronous client of `httpx` form, for tests; one for the options' address if left out."""
        self.address = options.base_url
        self._seconds = options.timeout_s
        self._client = open_client(options) if client is None else client
        self._turns = asyncio.Semaphore(options.parallel)
        self._headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}

    @property
    def resource(self) -> AbstractAsyncContextManager[Any]:
        """What must be open while it is asked."""
        client: AbstractAsyncContextManager[Any] = self._client
        return client

    async def get(self, path: str) -> Any:
        """What the server says at a path. Raises ServerError."""
        return self._value(await self._content("GET", path, None, SMALL, {}))

    async def post(self, path: str, body: Mapping[str, Any], most: int, headers: Mapping[str, str]) -> Any:
        """The answer to a body, of at most `most` bytes. Raises ServerError."""
        return self._value(await self._content("POST", path, json.dumps(body).encode(), most, headers))

    async def text(self, path: str) -> str:
        """What the server says at a path, which is no JSON. Raises ServerError."""
        return (await self._content("GET", path, None, SMALL, {})).decode("utf-8", "replace")

    def failed(self, reason: str, fix: str = "", status: int | None = 200) -> ServerError:
        """The error of a server that `reason`, such as "gave no tokens"."""
        usual = "check that it is the server you mean; `ig-guardrail doctor --engine-url URL` probes it"
        return ServerError(f"the server {reason}", where=f"server {self.address}", fix=fix or usual, status=status)

    async def _content(
        self, method: str, path: str, body: bytes | None, most: int, headers: Mapping[str, str]
    ) -> bytes:
        async with self._turns:
            for tries in range(RETRIES + 1):
                status, pause, content = await self._once(method, path, body, most, headers)
                if status == 200:
                    return content
                if status is not None and (status not in TURNED_AWAY or tries == RETRIES):
                    raise self.failed(f"answered with status {status}", _FIXES.get(status, ""), status)
                if tries == RETRIES:
                    raise self.failed("cannot be reached", "start it, or check `base_url`", None)
                await asyncio.sleep(min(max(pause, PAUSE_S * 2**tries), LONGEST_PAUSE_S))
        raise AssertionError("the last try returns or raises")

    async def _once(
        self, method: str, path: str, body: bytes | None, most: int, headers: Mapping[str, str]
    ) -> tuple[int | None, float, bytes]:
        """The status (None without a connection), the seconds that the server asks to wait, and the body of a 200."""
        sent = {**self._headers, **headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        try:
            async with asyncio.timeout(self._seconds):
                async with self._client.stream(method, self._url(path), content=body, headers=sent) as reply:
                    if reply.status_code != 200:
                        return reply.status_code, _pause(reply.headers.get("retry-after")), b""
                    return 200, 0.0, await self._body(reply, most)
        except EngineError:
            raise
        except TimeoutError:
            raise self.failed(f"did not answer within {self._seconds:g} s", "raise `timeout_s`", None) from None
        except Exception as error:
            log_cause(error)
            if type(error).__name__ in _UNCONNECTED:
                return None, 0.0, b""
            reason = f"broke off its answer ({type(error).__name__})"
        raise self.failed(reason, "see the server's log; nothing of this block was used", None)

    async def _body(self, reply: Any, most: int) -> bytes:
        content = bytearray()
        async for part in reply.aiter_raw():
            content += part
            if len(content) > most:
                raise self.failed(f"answered with more than {most} bytes, which no answer to this has")
        return bytes(content)

    def _value(self, content: bytes) -> Any:
        try:
            return json.loads(content, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            raise self.failed("did not answer in JSON", "check `base_url`: it ends in /v1 for most servers") from None

    def _url(self, path: str) -> str:
        """A path below the server's root if it begins with "/", else below its `/v1`."""
        root = self.address.removesuffix("/v1")
        return f"{root}{path}" if path.startswith("/") else f"{root}/v1/{path}"


def _pause(asked: str | None) -> float:
    return float(asked) if asked is not None and asked.isdecimal() and len(asked) < 6 else 0.0


def open_client(options: ServerOptions) -> DefaultAsyncHttpxClient:
    """A client that follows no redirect, and asks no proxy for this machine. Raises MissingExtra, ModelError."""
    require("openai", by="engine 'openai_compatible'", where="engine")
    from openai import DefaultAsyncHttpxClient

    here = options.base_url.startswith(THIS_MACHINE)
    try:
        waits = (CONNECT_S, options.timeout_s, options.timeout_s, options.timeout_s)  # connect, read, write, pool
        return DefaultAsyncHttpxClient(follow_redirects=False, trust_env=not here, timeout=waits)
    except Exception as error:  # such as for a proxy in the environment that is none
        raise ModelError(f"no client can be made: {brief(error)}", where="engine", fix="check proxy settings") from None
