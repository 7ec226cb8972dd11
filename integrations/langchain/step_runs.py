"""A step of a chain as a run of its own: handlers hear that it begins, each piece that goes out, and how it ends.

LangChain's way to report a step that streams reads what comes in to its end. A guard stops reading where it denies, and
what comes in was not judged yet; so only what goes out is told. The run begins with the first piece, behind the runs of
what comes before it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, closing
from itertools import chain, islice
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)
from langchain_core.tracers._streaming import _StreamingCallbackHandler

Piece = TypeVar("Piece")


def as_run(
    name: str,
    config: RunnableConfig | None,
    pieces: Generator[Piece, None, None],
    whole: Callable[[Sequence[Piece]], Any],
) -> Generator[Piece, None, None]:
    """The same pieces, reported to the handlers of a config; whole: puts together what went out."""
    config, shown = ensure_config(config), list[Piece]()
    manager = get_callback_manager_for_config(config)
    with closing(pieces):
        if not manager.handlers:
            yield from pieces
            return
        first, fault = list[Piece](), None
        try:
            first = list(islice(pieces, 1))
        except Exception as error:
            fault = error
        run = manager.on_chain_start(None, **_begun(name, config))
        try:
            if fault is not None:
                raise fault
            told: Iterator[Piece] = chain(first, pieces)
            for tap in _taps(run.handlers):
                told = tap.tap_output_iter(run.run_id, told)
            for piece in told:
                shown.append(piece)
                yield piece
        except GeneratorExit:
            run.on_chain_end(whole(shown))
            raise
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(whole(shown))


async def as_run_async(
    name: str,
    config: RunnableConfig | None,
    pieces: AsyncGenerator[Piece, None],
    whole: Callable[[Sequence[Piece]], Any],
    closed: Callable[[], Awaitable[None]],
) -> AsyncGenerator[Piece, None]:
    """The same on the running event loop.

    closed: waits until what the pieces are made of is closed. A loop that ends closes generators within each other at
    once; so only this one, the outermost, waits for anything then.
    """
    config, shown = ensure_config(config), list[Piece]()
    manager = get_async_callback_manager_for_config(config)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(closed)
        await stack.enter_async_context(aclosing(pieces))
        if not manager.handlers:
            async for piece in pieces:
                yield piece
            return
        first, fault = list[Piece](), None
        try:
            first = [await anext(pieces)]
        except StopAsyncIteration:
            pass
        except Exception as error:
            fault = error
        run = await manager.on_chain_start(None, **_begun(name, config))
        try:
            if fault is not None:
                raise fault
            told: AsyncIterator[Piece] = _behind(first, pieces)
            for tap in _taps(run.handlers):
                told = tap.tap_output_aiter(run.run_id, told)
            async for piece in told:
                shown.append(piece)
                yield piece
        except GeneratorExit:
            await run.on_chain_end(whole(shown))
            raise
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(whole(shown))


async def _behind(first: Sequence[Piece], pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    for piece in first:
        yield piece
    async for piece in pieces:
        yield piece


def _taps(handlers: Sequence[object]) -> list[_StreamingCallbackHandler[Any]]:
    """The handler that makes events of a stream; LangChain too asks only the first."""
    return [one for one in handlers if isinstance(one, _StreamingCallbackHandler)][:1]


def _begun(name: str, config: RunnableConfig) -> dict[str, Any]:
    """What is told of a run that begins; of what comes in, as much as LangChain tells of what still streams."""
    return {"inputs": {"input": ""}, "name": config.get("run_name") or name, "run_id": config.get("run_id")}
