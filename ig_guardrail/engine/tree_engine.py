"""What engines have in common that grow a token tree on one thread: each call is work for the scheduler."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Self

from ig_guardrail.engine.base import EngineInfo, check_context
from ig_guardrail.engine.decoding.contexts import ContextRequest
from ig_guardrail.engine.decoding.operations import TreeOperations
from ig_guardrail.engine.loop import Loop
from ig_guardrail.engine.scheduler import Scheduler
from ig_guardrail.engine.tree import TreeCounts
from ig_guardrail.types import CallNotation, Draw, Message, Node, Prompt, Sampling, StateEdit, Thinking, TokenLogprob

LAST_STEP_S = 2.0  # how long a running step may take to notice that the engine was shut down


def _read_on() -> None:
    """Passes run to their end, which is near: prompts are read in pieces."""


class TreeEngine(TreeCounts):
    """A token tree over `operations`, whose work runs on `loop`. See `engine.base.Engine` for the contract."""

    def __init__(
        self, operations: TreeOperations, loop: Loop, scheduler: Scheduler, interrupt: Callable[[], None] = _read_on
    ) -> None:
        """interrupt: ends the pass under way if its request was closed, where the library can; of any thread"""
        self._operations = operations
        self._tree = operations.tree
        self._loop = loop
        self._scheduler = scheduler
        self._interrupt = interrupt
        self._lender: Self | None = None
        weakref.finalize(self, stop, loop, operations, interrupt)

    def with_context(self, tokens: int) -> Self:
        """This engine, its nodes and its thread, for prompts and answers of at most `tokens` together.

        Raises RequestError for more than the model reads, or less than a prompt and an answer of a token each.
        """
        check_context(tokens, self.info)
        return self._told(replace(self.info, context=tokens))

    def _told(self, info: EngineInfo) -> Self:
        other = copy.copy(self)
        other._lender = self  # must not end before it
        other._operations = replace(self._operations, info=info)
        return other

    @property
    def info(self) -> EngineInfo:
        return self._operations.info

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._tree.closed

    def encode(
        self, turns: Sequence[Message], thinking: Thinking = None, notation: CallNotation | None = None
    ) -> Prompt:
        return self._operations.chat.encode(turns, thinking, notation)

    def open(
        self,
        prompt: Prompt,
        sampling: Sampling,
        layers: tuple[int, ...] = (),
        twin_of: Node | None = None,
        edit: StateEdit | None = None,
    ) -> Future[Node]:
        opening = ContextRequest(prompt, sampling, layers, twin_of, edit)
        if sampling.grammar is None:
            return self._scheduler.submit(self._operations.open(opening))
        return self._operations.grammars.then(
            sampling.grammar, lambda: self._scheduler.submit(self._operations.open(opening))
        )

    def extend(
        self,
        draws: Sequence[Draw],
        tokens: int,
        attempt: int = 0,
        bias: Sequence[tuple[int, float]] = (),
        ahead: int = 0,
    ) -> Future[list[Node]]:
        return self._scheduler.submit(self._operations.extend(draws, tokens, attempt, bias, ahead))

    def expand(self, node: Node, k: int) -> Future[list[Node]]:
        return self._scheduler.submit(self._operations.expand(node, k))

    def top_logprobs(self, node: Node, k: int) -> Future[list[tuple[int, float]]]:
        return self._scheduler.submit(self._operations.top_logprobs(node, k))

    def logprobs(self, node: Node, ids: Sequence[int]) -> Future[list[float]]:
        return self._scheduler.submit(self._operations.logprobs(node, ids))

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> Future[list[TokenLogprob]]:
        return self._scheduler.submit(self._operations.answer_logprobs(node, ids, k))

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> Future[list[Node]]:
        return self._scheduler.submit(self._operations.append(items))

    def spelled(self, prompt: Prompt, text: str, tokens: int) -> Future[Node]:
        return self._scheduler.submit(self._operations.spelled(prompt, text, tokens))

    def keep(self, node: Node) -> None:
        entry = self._tree.known(node)
        if entry is not None:
            self._scheduler.submit(self._operations.keep(entry))

    def close(self, node: Node) -> None:
        self._tree.close(node)
        self._interrupt()

    def shutdown(self) -> None:
        """Close every request and end the engine's thread. Idempotent; work asked for later raises EngineClosed."""
        stop(self._loop, self._operations, self._interrupt)


def stop(loop: Loop, operations: TreeOperations, interrupt: Callable[[], None]) -> None:
    """Also runs when the interpreter exits: a thread that is inside the model then would bring the process down."""
    if loop.forked:  # all of it is another process's
        return
    loop.shutdown()
    operations.tree.close_all()
    interrupt()
    loop.join(LAST_STEP_S)
