"""The engine over a model that another program serves: vLLM, SGLang, llama.cpp, and what speaks as they do.

Prompts are rendered and cut into tokens here, by the model's own template and tokenizer, so no word of a message can
open or close a turn. Text is what this side spells of the tokens that come back. What needs the model's inside is
refused: hidden states, their edits, early exits.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ig_guardrail.causes import ours
from ig_guardrail.engine.base import EngineInfo, check_context
from ig_guardrail.engine.decoding.contexts import ContextRequest, begin
from ig_guardrail.engine.futures import closed_error
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.loop import forked_error, settle
from ig_guardrail.engine.openai_compatible.asking import Asker
from ig_guardrail.engine.openai_compatible.drawing import Drawing, DrawnPlace, Lane
from ig_guardrail.engine.openai_compatible.orders import ScoreOrder
from ig_guardrail.engine.text.chat import Chat
from ig_guardrail.engine.tree import NodeTree, RequestUsage, TreeCounts
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.threads.event_loop import ForkedLoop, LoopThread
from ig_guardrail.types import CallNotation, Draw, Message, Node, Prompt, Sampling, StateEdit, Thinking, TokenLogprob

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What an engine is made of: how its model is asked, how conversations become tokens, and what it is."""

    asker: Asker
    chat: Chat
    info: EngineInfo
    segment: int


class OpenAICompatibleEngine(TreeCounts):
    """A token tree over a served model. See `engine.base.Engine` for the contract."""

    def __init__(self, model: RemoteModel, loop: LoopThread) -> None:
        """loop: runs the coroutines of the model's server, and keeps it open."""
        self._model = model
        self._info = model.info
        self._tree: NodeTree[DrawnPlace] = NodeTree()
        self._drawing = Drawing(self._tree, model.asker, model.segment)
        self._grammars = Grammars(model.asker.language, model.chat.text_ids)
        self._loop = loop
        self._running: dict[asyncio.Task[Any], RequestUsage] = {}
        self._lender: OpenAICompatibleEngine | None = None
        weakref.finalize(self, _stop, self._loop, self._tree)

    def with_context(self, tokens: int) -> OpenAICompatibleEngine:
        """This engine and its nodes, for prompts and answers of at most `tokens` together. Raises RequestError."""
        check_context(tokens, self._info)
        other = OpenAICompatibleEngine.__new__(OpenAICompatibleEngine)
        other.__dict__.update(self.__dict__, _lender=self, _info=replace(self._info, context=tokens))
        return other

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def closed(self) -> bool:
        """Whether `shutdown` was called."""
        return self._tree.closed

    def encode(
        self, turns: Sequence[Message], thinking: Thinking = None, notation: CallNotation | None = None
    ) -> Prompt:
        return self._model.chat.encode(turns, thinking, notation)

    def open(
        self,
        prompt: Prompt,
        sampling: Sampling,
        layers: tuple[int, ...] = (),
        twin_of: Node | None = None,
        edit: StateEdit | None = None,
    ) -> Future[Node]:
        if edit is not None:
            return _failed(_no_states())
        asked = ContextRequest(prompt, sampling, layers, twin_of)
        if sampling.grammar is None:
            return self._open(asked)
        return self._grammars.then(sampling.grammar, lambda: self._open(asked))

    def extend(
        self,
        draws: Sequence[Draw],
        tokens: int,
        attempt: int = 0,
        bias: Sequence[tuple[int, float]] = (),
        ahead: int = 0,
    ) -> Future[list[Node]]:
        async def work() -> list[Node]:
            if tokens < 1:
                raise RequestError(
                    f"a block of {tokens} tokens was asked for", where="extend", fix="ask for at least 1"
                )
            self._info.check_ahead(ahead)
            self._model.asker.language.check((token for token, _ in bias), where="bias")
            return await self._drawing.extend(draws, tokens, attempt, tuple(bias))

        return self._submit([draw.node for draw in draws], work)

    def expand(self, node: Node, k: int) -> Future[list[Node]]:
        async def work() -> list[Node]:
            entry, _ = self._tree.find(node)
            lanes = []
            for token, logprob in await self._drawing.likeliest(node, k):
                lane = Lane(entry, entry.draft(), (0, 0, ()), deque())
                lane.read(token, logprob)
                lanes.append(lane)
            return await self._drawing.children(lanes)

        return self._submit([node], work)

    def top_logprobs(self, node: Node, k: int) -> Future[list[tuple[int, float]]]:
        async def work() -> list[tuple[int, float]]:
            return list(await self._drawing.likeliest(node, k))

        return self._submit([node], work)

    def logprobs(self, node: Node, ids: Sequence[int]) -> Future[list[float]]:
        async def work() -> list[float]:
            return [logprob for _, logprob, _ in await self._scores(node, ids, 0)]

        return self._submit([node], work)

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> Future[list[TokenLogprob]]:
        spelled = self._model.asker.language.detokenizer.bytes_of

        async def work() -> list[TokenLogprob]:
            return [
                TokenLogprob(spelled(token), logprob, tuple((spelled(other), value) for other, value in top))
                for token, logprob, top in await self._scores(node, ids, k)
            ]

        return self._submit([node], work)

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> Future[list[Node]]:
        async def work() -> list[Node]:
            return await self._drawing.children([self._forced(node, content) for node, content in items])

        return self._submit([node for node, _ in items], work)

    def close(self, node: Node) -> None:
        """Closing a request closes the connections on which its tokens are drawn, so that the server stops."""
        self._tree.close(node)
        self._loop.call(self._leave_closed)

    def shutdown(self) -> None:
        """Close every request and all connections. Idempotent; work asked for later raises EngineClosed."""
        self._tree.close_all()
        self._loop.call(self._leave_closed)
        self._loop.end()

    def _open(self, asked: ContextRequest) -> Future[Node]:
        model = self._model

        async def work() -> Node:
            root, context = begin(self._tree, asked, model.asker.language, self._grammars, self._info)
            if root.ids and not model.asker.wire.scores:
                root = replace(root, logprobs=(math.nan,) * len(root.ids))
            elif root.ids:
                salt = model.asker.salt(context.account, asked.prompt.cache_salt)
                order = ScoreOrder((*asked.prompt.ids, *root.ids), len(root.ids), salt=salt)
                told = await model.asker.score(order, context.account)
                root = replace(root, logprobs=tuple(one.logprob or 0.0 for one in told))
            state = DrawnPlace() if root.finish is None else None
            self._tree.plant(root, context, context.rules.replay(root.ids), state)
            return root

        return self._submit([asked.twin_of] if asked.twin_of is not None else [], work)

    async def _scores(
        self, node: Node, ids: Sequence[int], k: int
    ) -> list[tuple[int, float, tuple[tuple[int, float], ...]]]:
        entry, _ = self._tree.find(node)
        asker, context = self._model.asker, entry.context
        asker.language.check(ids, where="token ids")
        before = (*context.prompt.ids, *node.answer_ids())
        order = ScoreOrder((*before, *ids), len(ids), k, asker.salt(context.account, context.prompt.cache_salt))
        told = await asker.score(order, context.account)
        return [(one.id, one.logprob or 0.0, one.top) for one in told]

    def _forced(self, node: Node, content: Node | str | tuple[int, ...]) -> Lane:
        entry, _ = self._tree.find(node)
        draft = entry.forced(content, self._model.chat.text_ids)
        return Lane(entry, draft, (0, 0, ()), deque(), [None] * len(draft.ids))

    def _submit(self, nodes: Sequence[Node], work: Any) -> Future[R]:
        """The future of work on nodes of one request, which ends with it."""
        if self._tree.closed:
            return _failed(closed_error("the engine was shut down"))
        try:
            account = self._tree.context_of(nodes[0]).account if nodes else RequestUsage(0)
            return self._loop.submit(self._kept(account, work))
        except ForkedLoop:
            return _failed(forked_error())
        except EngineError as error:
            return _failed(error)
        except RuntimeError:  # its loop has ended
            return _failed(closed_error("the engine was shut down"))

    async def _kept(self, account: RequestUsage, work: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = account
        failure: Exception | None = None
        try:
            account.check_open()
            return await work()
        except asyncio.CancelledError:
            if not account.closed:
                raise
            failure = closed_error("the request was closed")
        except Exception as error:
            failure = ours(error, _failure)
        finally:
            del self._running[task]
        raise failure

    def _leave_closed(self) -> None:
        for task, account in self._running.items():
            if account.closed or self._tree.closed:
                task.cancel()


def _stop(loop: LoopThread, tree: NodeTree[Any]) -> None:
    tree.close_all()
    loop.end()


def _failed(error: Exception) -> Future[Any]:
    def fail() -> None:
        raise error

    future: Future[Any] = Future()
    settle(future, fail)
    return future


def _failure(cause: str) -> EngineError:
    return EngineError(
        f"the engine failed: {cause}",
        where="engine",
        why="what was being decoded is lost; the engine itself goes on",
        fix="report this error",
    )


def _no_states() -> EngineError:
    return EngineError(
        "a served model has no hidden states to edit",
        where="engine",
        why="servers tell tokens, and nothing of what the model computes",
        fix="steer with a system text (`search.steer`), or run the model with engine 'transformers'",
    )
