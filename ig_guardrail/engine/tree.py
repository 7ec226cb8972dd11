"""The book of a token tree: which nodes are held, to which request they belong, and what was closed.

Written by the engine's thread, closed from any thread. It knows nothing of models: `S` is whatever an engine keeps to
continue a node.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ig_guardrail.engine.decoding.answer import AnswerDraft, AnswerRules
from ig_guardrail.engine.futures import closed_error
from ig_guardrail.engine.text.detokenize import Held
from ig_guardrail.errors import EngineError
from ig_guardrail.threads.locks import ForkSafeLock
from ig_guardrail.types import Node, Prompt, Sampling, StateEdit

S = TypeVar("S")

PORTION = 8  # characters of a long text that are read first, for each token that there is room for
BORDER = 64  # tokens at the end of a portion that may be others where the text goes on


@dataclass(slots=True, eq=False)
class RequestUsage:
    """One request: whether it was closed, the model passes made for it, and the tokens read in them by all rows.

    A pass counts when its last layer runs. Where tokens are read ahead, each goes through the lower layers alone, and
    a pass takes all of them through the upper ones: e lower layers ran `read` times, L - e upper ones `forwards` times.

    cached  tokens of its prompt that were in the prompt cache, and so were not read
    """

    first_root: int
    closed: bool = False
    forwards: int = 0
    read: int = 0
    cached: int = 0

    def note(self, tokens: int) -> None:
        """Count a pass over so many tokens."""
        self.forwards += 1
        self.read += tokens

    def check_open(self) -> None:
        """Raises EngineClosed once the request was closed."""
        if self.closed:
            raise closed_error("the request was closed")


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """One root: the prompt it stands for, and how answers to it are drawn and ended."""

    account: RequestUsage
    prompt: Prompt
    sampling: Sampling
    layers: tuple[int, ...]
    rules: AnswerRules
    edit: StateEdit | None = None


@dataclass(frozen=True, slots=True)
class TreeEntry(Generic[S]):
    """A node that was not closed. `state` may be None for a finished one, which nothing can follow."""

    node: Node
    context: Context
    held: Held
    state: S | None

    def draft(self) -> AnswerDraft:
        """A block to be read on from here."""
        return AnswerDraft(self.context.rules, self.node, self.held)

    def forced(self, content: Node | str | tuple[int, ...], text_ids: Callable[[str], tuple[int, ...]]) -> AnswerDraft:
        """A block that holds what is forced from here on; see `Engine.append`. text_ids: the tokens of a text.

        Raises RequestError for tokens that the model does not have.
        """
        draft, rules, finish = self.draft(), self.context.rules, None
        if isinstance(content, Node):
            ids, finish = content.answer_ids()[self.node.position :], content.finish
        elif isinstance(content, str):
            ids = rules.behind_thought(_ids_of(content, draft.left, text_ids), self.node.position)
        else:
            ids = content
        rules.language.check(ids, where="token ids")
        draft.read_all(ids, finish)
        if isinstance(content, Node):
            draft.hurried = content.hurried
        return draft


def _ids_of(text: str, room: int, text_ids: Callable[[str], tuple[int, ...]]) -> tuple[int, ...]:
    """The tokens of a text; those of its beginning, where they are more than there is room for."""
    size = PORTION * max(1, room)
    while size < len(text):
        ids = text_ids(text[:size])
        if len(ids) > room + BORDER:
            return ids
        size *= 4
    return text_ids(text)


class NodeTree(Generic[S]):
    """The nodes of one engine. No number is given twice in a process: a node of another engine is nobody here."""

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._entries: dict[int, TreeEntry[S]] = {}
        self._contexts: dict[int, Context] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close_all` was called."""
        return self._closed

    def number(self) -> int:
        """A fresh node id."""
        return next(self._numbers)

    def plant(self, root: Node, context: Context, held: Held, state: S | None) -> None:
        """Add a root. Raises EngineClosed if its request, or the engine, was closed meanwhile."""
        with self._lock:
            context.account.check_open()
            if self._closed:
                raise closed_error("the engine was shut down")
            self._contexts[root.root] = context
            self._entries[root.id] = TreeEntry(root, context, held, state)

    def grow(self, context: Context, node: Node, held: Held, state: S | None) -> None:
        """Add a child. Raises EngineClosed if its request was closed meanwhile."""
        with self._lock:
            context.account.check_open()
            self._entries[node.id] = TreeEntry(node, context, held, state)

    def context_of(self, node: Node) -> Context:
        """The context of a node, which itself may have been closed. Raises EngineClosed if the request was."""
        with self._lock:
            context = self._contexts.get(node.root)
        if context is None:
            raise closed_error(f"the request of node {node.id} was closed")
        return context

    def find(self, node: Node) -> tuple[TreeEntry[S], S]:
        """The entry of a node that can be continued, and its state.

        Raises EngineClosed if it was closed, or is another engine's; EngineError if the answer ends there.
        """
        entry = self.known(node)
        if entry is None:
            raise closed_error(f"node {node.id} was closed")
        if entry.state is None or node.finish is not None:
            raise EngineError(
                f"node {node.id} cannot be continued: its answer ended with '{node.finish}'",
                where="engine",
                why="nothing follows the end of an answer",
                fix="extend only nodes whose `finish` is None",
            )
        return entry, entry.state

    def known(self, node: Node) -> TreeEntry[S] | None:
        """The entry of a node; None once it was closed."""
        with self._lock:
            entry = self._entries.get(node.id)
        return entry if entry is not None and entry.node is node else None

    def holds(self, node: Node) -> bool:
        """Whether a node was not closed, nor its request."""
        with self._lock:
            return node.id in self._entries

    def close(self, node: Node) -> None:
        """Forget a node; with a request's first root, its whole request. Idempotent."""
        with self._lock:
            context = self._contexts.get(node.root)
            if context is not None and context.account.first_root == node.id:
                self._close_account(context.account)
            elif (entry := self._entries.get(node.id)) is not None and entry.node is node:
                del self._entries[node.id]

    def close_all(self) -> None:
        """Forget everything, mark every request closed, and take no new ones."""
        with self._lock:
            self._closed = True
            for context in list(self._contexts.values()):
                self._close_account(context.account)

    def account(self, root: Node) -> RequestUsage:
        """What was done so far for the request of `root`; nothing once it is closed."""
        with self._lock:
            context = self._contexts.get(root.root)
        return RequestUsage(root.id, closed=True) if context is None else context.account

    def live_nodes(self) -> int:
        """Nodes that can be continued."""
        with self._lock:
            return sum(entry.state is not None and entry.node.finish is None for entry in self._entries.values())

    def _close_account(self, account: RequestUsage) -> None:
        account.closed = True
        for root in list(_of_account(self._contexts, account)):
            del self._contexts[root]
        dead = [id for id, entry in self._entries.items() if entry.context.account is account]
        for id in dead:
            del self._entries[id]


def _of_account(contexts: dict[int, Context], account: RequestUsage) -> Iterator[int]:
    return (root for root, context in list(contexts.items()) if context.account is account)


class TreeCounts:
    """What an engine tells of its requests, by its tree; see `engine.base.Engine`."""

    _tree: NodeTree[Any]

    def forwards(self, root: Node) -> int:
        return self._tree.account(root).forwards

    def tokens_read(self, root: Node) -> int:
        return self._tree.account(root).read

    def tokens_cached(self, root: Node) -> int:
        return self._tree.account(root).cached

    def live_nodes(self) -> int:
        return self._tree.live_nodes()
