"""The token tree: prefixes of answers, and what the model thought of their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, TypeAlias

Finish: TypeAlias = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Thought:
    """What a model thought before its answer: the first part of a text.

    characters  of the text that are thought
    tokens      answer tokens before the first that adds to what follows the thought, its markers among them
    begun       whether there is a thought, be it empty
    """

    characters: int = 0
    tokens: int = 0
    begun: bool = False

    @property
    def taken(self) -> int:
        """Tokens that thinking took."""
        return self.tokens if self.begun else 0


class GrownText:
    """A node's text: whole at the tips of a token tree, and elsewhere what a node adds to its parent's.

    So a long answer takes memory by its length, and not by its square. Every `WHOLE`th node of a path keeps its text
    whole all the same, so that few are read to tell another's.
    """

    WHOLE = 32

    def __get__(self, node: Node | None, owner: type[Node]) -> str:
        if node is None:
            raise AttributeError("text")  # a field without a default
        kept: dict[str, Any] = node.__dict__
        whole: str | None = kept["_whole"]
        if whole is not None:
            return whole
        parts: list[str] = []
        for step in node.ancestors():
            kept = step.__dict__
            whole = kept["_whole"]
            if whole is not None:
                parts.append(whole)
                break
            parts.append(kept["_added"])
        return "".join(reversed(parts))

    def __set__(self, node: Node, text: str) -> None:
        parent = node.parent
        before = "" if parent is None else parent.text
        shared = parent is not None and text.startswith(before)
        depth = parent.__dict__["_depth"] + 1 if parent is not None and shared else 0
        node.__dict__.update(_whole=text, _added=text[len(before) :] if shared else text, _depth=depth)
        if parent is not None and shared and parent.__dict__["_depth"] % self.WHOLE:
            parent.__dict__["_whole"] = None


@dataclass(frozen=True, eq=False)
class Node:
    """One prefix of one answer, in one context, in an engine's token tree.

    id        the engine's handle
    root      id of the root of its context (a twin context has a root of its own)
    parent    the node it continues; None at a root
    ids       tokens added since the parent; an end token is never among them
    position  answer tokens up to and including this node
    text      exact decoded answer so far, whole characters only, including a stop string that ended it; without the
              markers of a thought, and the white space beside them
    offsets   for each of `ids`, how many characters of `text` are known after it
    visible   how many characters of `text` belong to the answer (less than all only after a stop string)
    logprobs  for each of `ids`, its natural log-probability under the unfiltered model at temperature 1; NaN where a
              server does not tell it
    hidden    layer -> array (len(ids), hidden size): the state after reading each token; only the layers asked for
    finish    why the answer ends here, or None
    words     how many characters of `text` are words for certain, and the rest calls; None: markers in it tell
    thought   what of `text` is the model's thought, which stands before the answer's words and calls
    hurried   characters of `text` before the first token that is another than was drawn, so that a form could be closed
              in the room left; None where every token is as drawn
    """

    id: int
    root: int
    parent: Node | None
    ids: tuple[int, ...]
    position: int
    text: GrownText = GrownText()  # no default: the class itself has no text
    offsets: tuple[int, ...]  # type: ignore[misc]
    visible: int  # type: ignore[misc]
    logprobs: tuple[float, ...] = ()
    hidden: Mapping[int, Any] = field(default_factory=dict)
    finish: Finish | None = None
    words: int | None = None
    hurried: int | None = None
    thought: Thought = Thought()

    def path(self) -> tuple[Node, ...]:
        """The nodes from the root to this one."""
        chain: list[Node] = []
        node: Node | None = self
        while node is not None:
            chain.append(node)
            node = node.parent
        return tuple(reversed(chain))

    def ancestors(self) -> Iterator[Node]:
        """This node, its parent, and so on to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def answer_ids(self) -> tuple[int, ...]:
        """All answer tokens, from the root on."""
        return tuple(chain.from_iterable([node.ids for node in self.path()]))

    def characters_at(self, position: int) -> int:
        """Characters of `text` known after `position` answer tokens (a stop string that ended the answer included)."""
        if position <= 0:
            return 0
        for node in self.ancestors():
            start = node.position - len(node.ids)
            if start < position:
                return node.offsets[position - start - 1]
        raise ValueError(f"position {position} lies outside this answer of {self.position} tokens")


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of an answer as the unfiltered model saw it at temperature 1, before the guard.

    spelled    its bytes; parts of a character are possible
    logprob    nats
    top        the tokens it thought likeliest there, and their log-probabilities, likeliest first
    """

    spelled: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()
