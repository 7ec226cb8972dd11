"""Orders as requests of vLLM's: one alone, or one after another in a session that keeps what it has read.

Lives on one event loop. What the worker tells comes back on a socket of this process's own, in a folder that no other
user can enter; vLLM's own answers only say that a request goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from vllm import SamplingParams
from vllm.engine.protocol import StreamingInput
from vllm.inputs.engine import tokens_input
from vllm.sampling_params import RequestOutputKind

from ig_guardrail.engine.vllm.orders import PLACE, BlockOutcome, Order, read_told
from ig_guardrail.errors import EngineError, GuardrailError, brief
from ig_guardrail.types import Node

QUIET = 2**20  # tokens between two of vLLM's own answers: the worker tells all that is wanted
LATEST_S = 30.0  # after vLLM says that a request is over, what was told of it must have come


class Ear:
    """Where workers tell of blocks. `address` is given to them."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ig-guardrail-"))
        self.address = f"ipc://{self._folder / 'told'}"
        self._socket = zmq.asyncio.Context.instance().socket(zmq.PULL)
        self._socket.bind(self.address)
        self._waiting: dict[str, asyncio.Future[BlockOutcome]] = {}
        self._task = asyncio.get_running_loop().create_task(self._listen())

    def expect(self, key: str) -> asyncio.Future[BlockOutcome]:
        """The future of what will be told of an order."""
        future: asyncio.Future[BlockOutcome] = asyncio.get_running_loop().create_future()
        self._waiting[key] = future
        return future

    def forget(self, key: str) -> None:
        """Wait no more."""
        self._waiting.pop(key, None)

    def close(self) -> None:
        """Listen no more, and remove the folder."""
        self._task.cancel()
        self._socket.close(0)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _listen(self) -> None:
        while True:
            told = read_told(await self._socket.recv_multipart())
            future = self._waiting.pop(told.key, None)
            if future is not None and not future.done():
                future.set_result(told)


@dataclass(eq=False)
class Session:
    """A request of vLLM's that waits at the end of a block.

    ids     the tokens that it has read
    behind  the node that it waits behind
    """

    ids: list[int]
    behind: Node | None = None
    chunks: asyncio.Queue[StreamingInput | None] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None
    busy: bool = False


class Requests:
    """Carries out orders. salt: of whose prompts vLLM may keep what it has read.

    llm: vLLM's `AsyncLLM`; None once it was ended
    """

    _numbers = itertools.count(1)

    def __init__(self, llm: Any, ear: Ear, end: Sequence[int], sessions: int, room: int) -> None:
        """sessions: how many may wait at a time; room: tokens that they may hold together."""
        self.llm = llm
        self._ear = ear
        self._end = list(end)
        self._most, self._room = sessions, room
        self._sessions: dict[Session, None] = {}  # the one used last comes last

    @property
    def ended(self) -> bool:
        """Whether vLLM's process has ended."""
        return self.llm is None or bool(self.llm.errored)

    def key(self) -> str:
        """A fresh name for an order."""
        return f"ig-{next(self._numbers)}"

    async def alone(self, order: Order, ids: Sequence[int], salt: str, fresh: bool = False) -> BlockOutcome:
        """One block. fresh: read all tokens, whatever vLLM has kept of them."""
        params = self._params(order, RequestOutputKind.FINAL_ONLY)
        params.skip_reading_prefix_cache = fresh or None
        future = self._ear.expect(order.key)
        try:
            async for _ in self.llm.generate(tokens_input(list(ids), cache_salt=salt), params, order.key):
                pass
            return _checked(await asyncio.wait_for(future, LATEST_S))
        except Exception as error:
            raise _failed(error) from error
        finally:
            self._ear.forget(order.key)

    async def within(
        self, session: Session | None, order: Order, ids: list[int], salt: str
    ) -> tuple[BlockOutcome, Session]:
        """One block of a session, or the first of a new one; with an error it is at its end."""
        if session is None or session not in self._sessions or session.task is None or session.task.done():
            self.drop(session)
            session, added = Session(ids), ids
            self._sessions[session] = None
        else:
            self._sessions[session] = self._sessions.pop(session)
            added = ids[len(session.ids) :]
            session.ids = ids
        session.busy = True
        session.behind = None
        self._make_room()
        future = self._ear.expect(order.key)
        params = self._params(order, RequestOutputKind.DELTA)
        session.chunks.put_nowait(StreamingInput(tokens_input(list(added), cache_salt=salt), params))
        if session.task is None:
            session.task = asyncio.get_running_loop().create_task(self._run(session, params, order.key))
            session.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # one that waits may fail
        try:
            either: set[asyncio.Future[Any]] = {future, session.task}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                session.task.result()
                raise EngineError("vLLM ended a session by itself", where="engine")
            told = _checked(future.result())
            drawn = list(told.ids[len(order.begun) :])
            session.ids = ids + (drawn if order.layers else drawn[:-1])
            return told, session
        except BaseException as error:
            self.drop(session)
            if isinstance(error, Exception):
                raise _failed(error) from error
            raise
        finally:
            session.busy = False
            self._ear.forget(order.key)
            self._make_room()

    def drop(self, session: Session | None) -> None:
        """End a session, and free what it holds. Idempotent."""
        if session is not None and self._sessions.pop(session, self) is None and session.task is not None:
            session.task.cancel()

    def open_sessions(self) -> list[Session]:
        """Those that are held."""
        return list(self._sessions)

    async def _run(self, session: Session, params: SamplingParams, name: str) -> None:
        with suppress(asyncio.CancelledError):
            async for _ in self.llm.generate(_chunks(session.chunks), params, name):
                pass

    def _make_room(self) -> None:
        """Drop sessions that wait for longest, where they are too many or hold too much."""
        held = sum(len(session.ids) for session in self._sessions)
        for session in self.open_sessions():
            if len(self._sessions) <= self._most and held <= self._room:
                return
            if not session.busy:
                held -= len(session.ids)
                self.drop(session)

    def _params(self, order: Order, kind: RequestOutputKind) -> SamplingParams:
        """As vLLM needs them: which token comes next is the worker's to say, and an end token ends the request."""
        tokens = order.tokens - len(order.begun) + (1 if order.layers else 0) if order.tokens else 1
        return SamplingParams(
            temperature=0.0,
            max_tokens=max(1, tokens),
            stop_token_ids=self._end,
            ignore_eos=True,
            detokenize=False,
            output_kind=kind,
            stream_interval=QUIET,
            extra_args={PLACE: order.plain()},
        )


async def _chunks(queue: asyncio.Queue[StreamingInput | None]) -> AsyncGenerator[StreamingInput, None]:
    while (chunk := await queue.get()) is not None:
        yield chunk


def _checked(told: BlockOutcome) -> BlockOutcome:
    """What was told. Raises EngineError if it is an error."""
    if told.error is not None:
        raise EngineError(
            f"a block could not be decoded: {brief(told.error)}",
            where="engine",
            why="vLLM's worker could not draw its tokens",
        )
    return told


def _failed(error: Exception) -> Exception:
    """An error of vLLM's in our words."""
    if isinstance(error, GuardrailError):
        return error
    late = isinstance(error, TimeoutError)
    what = f"nothing was told of a block in {LATEST_S:.0f} s" if late else f"{type(error).__name__}: {brief(error)}"
    return EngineError(
        f"vLLM failed: {what}",
        where="engine",
        why="what was being decoded is lost",
        fix="read its log (VLLM_LOGGING_LEVEL=INFO); if its process has ended, open the model again",
    )
