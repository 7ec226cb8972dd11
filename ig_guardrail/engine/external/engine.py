"""The engine over answers that are decoded elsewhere, and only read here: a hosted model's, or those of a chain.

Its tokens are pieces of text (`engine.pieces`). From the root, each lane and attempt is an answer that is begun afresh;
any later node can only be read on from, on its own lane and attempt. What needs the model itself is refused: likeliest
tokens, log-probabilities, hidden states, twin contexts, penalties, and going on from words that it did not say.

An engine serves one request. Its readings work on the caller's thread or event loop; it has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ig_guardrail.engine.base import EngineInfo
from ig_guardrail.engine.decoding.answer import AnswerDraft, AnswerRules
from ig_guardrail.engine.external.pieces import Lexicon, numbered, pieces_of
from ig_guardrail.engine.external.stream import AnswerReader
from ig_guardrail.engine.loop import settle
from ig_guardrail.engine.text.detokenize import Detokenizer, Held
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.engine.tree import Context, NodeTree, RequestUsage, TreeCounts, TreeEntry
from ig_guardrail.errors import EngineError, GuardrailError, RequestError
from ig_guardrail.types import CallNotation, Draw, Message, Node, Prompt, Sampling, StateEdit, Thinking, TokenLogprob

Key: TypeAlias = tuple[int, ...]
"""(root) of a root; (root, lane, attempt) of an answer's nodes; (root, 0) of forced text, which nothing can follow."""

ENDLESS = 2**31  # tokens of context and of vocabulary: nobody knows how many there are


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A block to be read: from an entry of the tree up to position `stop` of an answer."""

    entry: TreeEntry[Key]
    key: Key
    reading: AnswerReader
    stop: int


class StreamedEngine(TreeCounts):
    """See above, and `engine.base.Engine` for the contract. It counts answers begun as forwards, pieces as tokens read.

    name   of the model behind it, for receipts
    begin  begins a fresh answer to the one prompt there is
    """

    def __init__(self, name: str, begin: Callable[[], AnswerReader]) -> None:
        self._begin = begin
        self._lexicon = Lexicon()
        self._language = TokenVocabulary(Detokenizer(self._lexicon.spelled), frozenset({Lexicon.END}), ENDLESS)
        self._tree: NodeTree[Key] = NodeTree()
        self._readings: dict[Key, AnswerReader] = {}
        self._newest: dict[Key, int] = {}
        self._info = EngineInfo(
            model=name,
            model_sha256="",
            mode="streamed",
            numerics="",
            device="",
            layers=0,
            context=ENDLESS,
            protected=frozenset({Lexicon.END}),
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    def encode(
        self, turns: Sequence[Message], thinking: Thinking = None, notation: CallNotation | None = None
    ) -> Prompt:
        """Ids that name the conversation; the model behind the stream reads it in its own way."""
        if not turns:
            raise RequestError("the conversation is empty", where="messages", fix="give at least one user message")
        return Prompt(tuple(turns), tuple(numbered(p) for turn in turns for p in (turn.role, *pieces_of(turn.text))))

    def open(
        self,
        prompt: Prompt,
        sampling: Sampling,
        layers: tuple[int, ...] = (),
        twin_of: Node | None = None,
        edit: StateEdit | None = None,
    ) -> Future[Node]:
        if layers or edit is not None or twin_of is not None or sampling.grammar is not None:
            what = "hidden states" if layers or edit else "a twin context" if twin_of else "a grammar"
            return _failed(_beyond(what))
        return _done(lambda: self._root(prompt, sampling))

    def extend(
        self,
        draws: Sequence[Draw],
        tokens: int,
        attempt: int = 0,
        bias: Sequence[tuple[int, float]] = (),
        ahead: int = 0,
    ) -> Future[list[Node]]:
        if bias or ahead:
            return _failed(_beyond("a penalty" if bias else "reading ahead"))
        try:
            steps = [
                self._step(draw.node, lane, attempt, tokens)
                for draw in draws
                for lane in range(draw.lane, draw.lane + draw.count)
            ]
        except GuardrailError as error:
            return _failed(error)
        return _after([step.reading.want(step.stop) for step in steps], lambda: [self._read(step) for step in steps])

    def expand(self, node: Node, k: int) -> Future[list[Node]]:
        return _failed(_beyond("likeliest tokens"))

    def top_logprobs(self, node: Node, k: int) -> Future[list[tuple[int, float]]]:
        return _failed(_beyond("likeliest tokens"))

    def logprobs(self, node: Node, ids: Sequence[int]) -> Future[list[float]]:
        return _failed(_beyond("log-probabilities"))

    def answer_logprobs(self, node: Node, ids: Sequence[int], k: int) -> Future[list[TokenLogprob]]:
        return _failed(_beyond("log-probabilities"))

    def append(self, items: Sequence[tuple[Node, Node | str | tuple[int, ...]]]) -> Future[list[Node]]:
        """Texts as answers, to be judged; nothing can be drawn after them. Nodes and ids are refused."""
        return _done(lambda: [self._forced(node, content) for node, content in items])

    def close(self, node: Node) -> None:
        """Also closes the stream of an answer whose newest node this is: what lies behind it is not wanted."""
        for key, reading in self._readings.items():
            if self._newest.get(key) == node.id or (node.parent is None and key[0] == node.root):
                reading.close()
        self._tree.close(node)

    def _root(self, prompt: Prompt, sampling: Sampling) -> Node:
        number = self._tree.number()
        root = Node(id=number, root=number, parent=None, ids=(), position=0, text="", offsets=(), visible=0)
        rules = AnswerRules(self._language, sampling.stop, sampling.max_tokens)
        self._tree.plant(root, Context(RequestUsage(number), prompt, sampling, (), rules), Held(), (number,))
        return root

    def _step(self, node: Node, lane: int, attempt: int, tokens: int) -> BlockRequest:
        entry, place = self._tree.find(node)
        key = (node.root, lane, attempt)
        if place not in (key, (node.root,)):
            raise _beyond("an answer that goes on from other words")
        if key not in self._readings:
            entry.context.account.forwards += 1
            self._readings[key] = self._begin()
        return BlockRequest(entry, key, self._readings[key], node.position + tokens)

    def _read(self, step: BlockRequest) -> Node:
        draft, heard = step.entry.draft(), step.reading.heard
        for piece in heard.pieces[draft.position : step.stop]:
            draft.read(self._lexicon.id(piece))
            if draft.finish is not None:
                break
        if draft.finish is None and heard.ended and draft.position == len(heard.pieces):
            draft.end("stop")
        step.entry.context.account.read += len(draft.ids)
        node = self._grown(step.entry, draft, step.key, heard.words)
        self._newest[step.key] = node.id
        return node

    def _forced(self, node: Node, content: Node | str | tuple[int, ...]) -> Node:
        if not isinstance(content, str):
            raise _beyond("moving tokens")
        entry, _ = self._tree.find(node)
        draft = entry.draft()
        draft.read_all(map(self._lexicon.id, pieces_of(content)), None)
        return self._grown(entry, draft, (node.root, 0), None)

    def _grown(self, entry: TreeEntry[Key], draft: AnswerDraft, key: Key, words: int | None) -> Node:
        """words: where the calls of a whole answer begin; None if it has none"""
        node = draft.node(self._tree.number(), {})
        node = replace(node, words=len(node.text) if words is None else min(words, len(node.text)))
        self._tree.grow(entry.context, node, draft.held, key if node.finish is None else None)
        return node


def _after(waiting: Sequence[Future[None]], call: Callable[[], list[Node]]) -> Future[list[Node]]:
    """The future of a call that is made once all of `waiting` are done; their first error if one fails."""
    future: Future[list[Node]] = Future()
    future.set_running_or_notify_cancel()
    left = list(waiting)

    def check(done: Future[None]) -> None:
        left.remove(done)
        if left:
            return
        error = next(filter(None, (one.exception() for one in waiting)), None)
        if error is not None:
            future.set_exception(error)
        else:
            settle(future, call)

    for one in waiting:
        one.add_done_callback(check)
    return future


def _done(call: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    settle(future, call)
    return future


def _failed(error: GuardrailError) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def _beyond(what: str) -> EngineError:
    return EngineError(
        f"{what} cannot be had of an answer that is decoded elsewhere",
        where="engine",
        why="it is only read here, as text",
        fix="use strategy 'resample' or 'cut', or decode with a local model",
    )
