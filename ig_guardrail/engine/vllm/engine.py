"""The engine that runs a model in vLLM: its own scheduler, caches and kernels, in a process that this one starts.

Search, gate and costs stay in this process; vLLM's worker draws the tokens that are ordered (`rows`), and tells what it
has drawn, with the states of the layers that were asked for.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.contexts import ContextRequest
from ig_guardrail.engine.futures import WorkFuture, closed_error
from ig_guardrail.engine.loop import fail, forked_error
from ig_guardrail.engine.tree import NodeTree, TreeCounts
from ig_guardrail.errors import EngineClosed
from ig_guardrail.threads.daemons import Daemon
from ig_guardrail.threads.locks import ForkSafeLock, Home
from ig_guardrail.types import CallNotation, Draw, Message, Node, Prompt, Sampling, StateEdit, Thinking, TokenLogprob

if TYPE_CHECKING:
    from ig_guardrail.engine.vllm.operations import Operations, Place

R = TypeVar("R")


class EventLoop:
    """An event loop on a thread of its own, which ends with `stop`, or when the interpreter does."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.home = Home()
        self._thread = Daemon(name, self._serve, (), self.stop)

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """What `work` comes to; it is waited for."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def call(self, function: Callable[..., object], *args: Any) -> bool:
        """Call it on the loop, soon; False once the loop has ended."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    def stop(self) -> None:
        """End the loop and its thread. Idempotent."""
        self.call(self.loop.stop)

    def join(self, seconds: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(seconds)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()


class Works:
    """What is being done, as tasks on a loop: each ends with its request, or when nobody waits for it."""

    def __init__(self, home: EventLoop, tree: NodeTree[Place]) -> None:
        self._home = home
        self._tree = tree
        self._lock = ForkSafeLock()
        self._running: dict[asyncio.Task[Any], Sequence[Node]] = {}

    def submit(self, work: Callable[[], Coroutine[Any, Any, R]], nodes: Sequence[Node]) -> Future[R]:
        """The future of `work`, which is about `nodes`. Cancelling it ends the work, once begun too."""
        future: TaskFuture[R] = TaskFuture()
        if self._home.home.left:
            future.set_exception(forked_error())
        elif self._tree.closed or not self._home.call(self._begin, future, work, nodes):
            future.set_exception(closed_error("the engine was shut down"))
        return future

    def sweep(self) -> None:
        """End what is done for requests that were closed. Runs on the loop."""
        for task, nodes in list(self._running.items()):
            if any(self._gone(node) for node in nodes):
                task.cancel()

    def _begin(self, future: TaskFuture[R], work: Callable[[], Coroutine[Any, Any, R]], nodes: Sequence[Node]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        if self._tree.closed:
            future.set_exception(closed_error("the engine was shut down"))
            return
        task = self._home.loop.create_task(work())
        future.end = lambda: self._home.call(task.cancel)
        if future.abandoned:
            task.cancel()
        self._running[task] = nodes
        task.add_done_callback(lambda done: self._settle(future, done))

    def _settle(self, future: Future[R], task: asyncio.Task[R]) -> None:
        self._running.pop(task, None)
        if task.cancelled():
            future.set_exception(closed_error("the request was closed"))
        elif (error := task.exception()) is not None:
            fail(future, error)
        else:
            future.set_result(task.result())

    def _gone(self, node: Node) -> bool:
        try:
            self._tree.context_of(node)
        except EngineClosed:
            return True
        return False


class TaskFuture(WorkFuture[R]):
    """The future of a task, which ends where it is when nobody waits any more."""

    def __init__(self) -> None:
        super().__init__()
        self.end: Callable[[], object] | None = None

    def cancel(self) -> bool:
        stopped = super().cancel()
        if not stopped and self.end is not None:
            self.end()
        return stopped


class VllmEngine(TreeCounts):
    """A token tree over a model that vLLM runs. See `engine.base.Engine` for the contract, `opening` for how it begins.

    What it does not do is refused: edits of hidden states, and reading ahead by an early exit.
    """

    def __init__(self, home: EventLoop, operations: Operations, stop: Callable[[], None]) -> None:
        self._home = home
        self._operations = operations
        self._tree = operations.tree
        self._works = Works(home, self._tree)
        self._end = weakref.finalize(self, _stop, home, self._tree, stop)

    @property
    def info(self) -> EngineInfo:
        return self._operations.info

    @property
    def tokenizer(self) -> Any:
        """The model's `transformers` tokenizer."""
        return self._operations.chat.tokenizer

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called, or vLLM's process has ended."""
        return self._tree.closed or self._operations.requests.ended

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
        nodes = () if twin_of is None else (twin_of,)

        def begin() -> Future[Node]:
            return self._works.submit(lambda: self._operations.open(opening), nodes)

        return begin() if sampling.grammar is None else self._operations.grammars.then(sampling.grammar, begin)

    def extend(
        self,
        draws: Sequence[Draw],
        tokens: int,
        attempt: int = 0,
        bias: Sequence[tuple[int, float]] = (),
        ahead: int = 0,
    ) -> Future[list[Node]]:
        work = self._operations.extend
        return self._works.submit(lambda: work(draws, tokens, attempt, bias, ahead), tuple(draw.node for draw in draws))

    def expand(self, node: Node, k: int) -> Future[list[Node]]:
        return self._works.submit(lambda: self._operations.expand(node, k), (node,))

    def top_logprobs(self, node: Node, k: int) -> Future[list[tuple[int, float]]]:
        return self._works.submit(lambda: self._operations.top_logprobs(node, k), (node,))

    def logprobs(self, node: Node, ids: Sequence[int]) -> Future[list[float]]:
        return self._works.submit(lambda: self._operations.logprobs(node, ids), (node,))

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> Future[list[TokenLogprob]]:
        return self._works.submit(lambda: self._operations.answer_logprobs(node, ids, k), (node,))

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> Future[list[Node]]:
        return self._works.submit(lambda: self._operations.append(items), tuple(node for node, _ in items))

    def close(self, node: Node) -> None:
        self._tree.close(node)
        if not self._home.home.left:
            self._home.call(self._works.sweep)
            self._home.call(self._operations.drop_sessions)

    def shutdown(self) -> None:
        """Close every request and end vLLM. Idempotent; work asked of it later raises EngineClosed."""
        self._end()


def _stop(home: EventLoop, tree: NodeTree[Place], stop: Callable[[], None]) -> None:
    tree.close_all()
    if not home.home.left:
        stop()
