"""The verifier's lanes: one answer read under a constitution, and read there again with words swapped.

Lane 0 reads the conversation x and the answer y under the constitution g; lane j reads s_j(x) and s_j(y) under g, for a
swap s_j of words such as "sister" and "brother". What one lane makes likelier than another is the equivariant gap of
a block B, in nats a token:

    D(B) = max_j | log q(B | g, x, y) - log q(s_j(B) | g, s_j(x), s_j(y)) | / |B|

Naming a group costs nothing by it, unequal treatment does. Source: AMBEDKAR, arXiv 2509.02133. Departures: there the
conversation alone is swapped, not the answer, and the two are compared by a divergence that shrinks with probability,
so that what is improbable looks fair; a ratio of probabilities does not.

A lane repeats the answer's own tokens as long as no word of theirs is swapped and no second model reads them. What is
swapped, or read by a second model, is cut into tokens again, and a word that is completed later otherwise than it was
begun has its lane read the whole answer again.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ig_guardrail.errors import StrategyError
from ig_guardrail.text.counterfactual import Swap, swap_words
from ig_guardrail.types import Append, Drop, Edit, Expand, Node, SearchOp, Together, TokenLogprobs, TopLogprobs, Twin

Saying: TypeAlias = tuple[Node, str | tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Verified:
    """A node of the answer. logprob: log q of its tokens, nats; gap: their D, nats a token, infinite if unknown."""

    node: Node
    logprob: float
    gap: float


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A next token as the verifier sees it: log q and D, nats; `child` is lane 0's node after it."""

    token: int
    logprob: float
    gap: float
    child: Node


class VerifierContext:
    """One context of the verifier: for each node of the answer, the node that says the same in it.

    apart: whether it is a second model's, to whom the answer's tokens mean nothing
    """

    def __init__(self, edit: Edit, apart: bool = False) -> None:
        self.edit, self.apart = edit, apart
        self.beside: dict[int, Node] = {}
        self.start: Node | None = None

    def begin(self, root: Node, twin: Node) -> None:
        """The empty answer, which stays open to the end."""
        self.start = self.beside[root.id] = twin

    def says(self, text: str) -> str:
        """A text of the answer in the words of this lane."""
        return swap_words(text, self.edit.swap)

    def saying(self, parent: Node, text: str, ids: tuple[int, ...]) -> Saying:
        """From which node it goes on, and with what, where the answer adds `ids` to `parent` and then reads `text`."""
        near, said = self.beside[parent.id], self.says(text)
        if not self.apart and said == near.text + text[len(parent.text) :]:
            return near, ids
        return (near, said[len(near.text) :]) if said.startswith(near.text) else self.anew(text)

    def anew(self, text: str) -> Saying:
        """The whole answer, from its beginning."""
        assert self.start is not None, "a lane is begun before it reads"
        return self.start, self.says(text)

    def told(self, node: Node) -> float:
        """log q of what a node added to the answer, nats; NaN if the lane could not read all of it."""
        mirror = self.beside[node.id]
        before = total(self.beside[node.parent.id]) if node.parent else 0.0
        return total(mirror) - before if mirror.text == self.says(node.text) else math.nan

    def forget(self, nodes: Sequence[Node]) -> list[Node]:
        """Give up what it holds of these; its own nodes, to be dropped."""
        return [mirror for node in nodes if (mirror := self.beside.pop(node.id, None)) not in (None, self.start)]


class VerifierContexts:
    """All lanes of one answer. apart: whether a second model reads in them."""

    def __init__(self, constitution: str, swaps: Sequence[Swap], apart: bool = False) -> None:
        edits = (Edit(constitution), *(Edit(constitution, swap) for swap in swaps))
        self._lanes = [VerifierContext(edit, apart) for edit in edits]

    def open(self, root: Node) -> Generator[SearchOp, Any, None]:
        """Open every lane at the empty answer, and have it read what the answer begins with."""
        empty, *given = root.path()
        twins: list[Node] = yield Together(tuple(Twin(empty, lane.edit, "verifier") for lane in self._lanes))
        for lane, twin in zip(self._lanes, twins, strict=True):
            lane.begin(empty, twin)
        for node in given:
            yield from self.verify((node,))

    def own(self, node: Node) -> Node:
        """The node of lane 0 beside one of the answer."""
        return self._lanes[0].beside[node.id]

    def verify(self, nodes: Sequence[Node]) -> Generator[SearchOp, Any, list[Verified]]:
        """Read nodes whose parents were read; what the verifier says of each.

        Raises StrategyError if lane 0 reads other words than the answer's, as with another model's tokens.
        """
        asked = [(lane, node) for lane in self._lanes for node in nodes]
        yield from _read(asked, [lane.saying(_parent(node), node.text, node.ids) for lane, node in asked])
        torn = [(lane, node) for lane, node in asked[len(nodes) :] if math.isnan(lane.told(node))]
        if torn:
            yield Drop(tuple(lane.beside[node.id] for lane, node in torn))
            yield from _read(torn, [lane.anew(node.text) for lane, node in torn])
        for node in nodes:
            _demand_same_words(node, self.own(node))
        return [self._verified(node) for node in nodes]

    def next_tokens(self, node: Node, k: int) -> Generator[SearchOp, Any, list[VerifiedToken]]:
        """The verifier's k likeliest tokens after a node, likeliest first. Their children are the caller's to drop."""
        here = self.own(node)
        ranked: list[tuple[int, float]]
        children: list[Node]
        ranked, children = yield Together((TopLogprobs(here, k), Expand(here, k)))
        chances = [logprob for _, logprob in ranked]
        gaps = [0.0] * len(ranked)
        for lane in self._lanes[1:]:
            others = yield from _in_other_words(lane, node, [token for token, _ in ranked], children)
            gaps = [max(gap, distance(one, other)) for gap, one, other in zip(gaps, chances, others, strict=True)]
        pairs = zip(ranked, gaps, children, strict=True)
        return [VerifiedToken(token, logprob, gap, child) for (token, logprob), gap, child in pairs]

    def forget(self, nodes: Sequence[Node]) -> Generator[SearchOp, Any, None]:
        """Drop what the lanes hold of these nodes."""
        yield Drop(tuple(mirror for lane in self._lanes for mirror in lane.forget(nodes)))

    def _verified(self, node: Node) -> Verified:
        own, *others = [lane.told(node) for lane in self._lanes]
        gap = max((distance(own, other) for other in others), default=0.0) / max(1, len(node.ids))
        return Verified(node, own, gap)


def distance(one: float, other: float) -> float:
    """|one - other| of two log-probabilities; infinite where either is no number or impossible: unknown is not fair."""
    return abs(one - other) if math.isfinite(one) and math.isfinite(other) else math.inf


def total(node: Node) -> float:
    """log q of an answer from its root on, nats."""
    return math.fsum(value for step in node.path() for value in step.logprobs)


def _read(asked: Sequence[tuple[VerifierContext, Node]], sayings: Sequence[Saying]) -> Generator[SearchOp, Any, None]:
    grown: list[Node] = yield Append(tuple(sayings))
    for (lane, node), mirror in zip(asked, grown, strict=True):
        lane.beside[node.id] = mirror


def _in_other_words(
    lane: VerifierContext, node: Node, tokens: Sequence[int], children: Sequence[Node]
) -> Generator[SearchOp, Any, list[float]]:
    """log q in a lane of each of these tokens after a node, nats; of the words it is swapped for, where it is.

    `children` are lane 0's nodes after the tokens; an end token's has none of its own.
    """
    here = lane.beside[node.id]
    found = [math.nan] * len(tokens)
    sayings = [lane.saying(node, child.text, (token,)) for token, child in zip(tokens, children, strict=True)]
    same = [i for i, (start, words) in enumerate(sayings) if start is here and words == (tokens[i],)]
    other = [i for i in range(len(tokens)) if i not in same]
    looked_up = yield Together(tuple(TokenLogprobs(here, (tokens[i],)) for i in same))
    for i, (value,) in zip(same, looked_up, strict=True):
        found[i] = value
    if other:
        grown: list[Node] = yield Append(tuple(sayings[i] for i in other))
        for i, mirror in zip(other, grown, strict=True):
            found[i] = total(mirror) - total(here) if mirror.text == lane.says(children[i].text) else math.nan
        yield Drop(tuple(grown))
    return found


def _parent(node: Node) -> Node:
    assert node.parent is not None, "an empty answer is read when the lanes open"
    return node.parent


def _demand_same_words(node: Node, mirror: Node) -> None:
    if node.finish is None and mirror.finish is None and mirror.text != node.text:
        raise StrategyError(
            "the verifier reads other words than the draft's",
            where="verifier",
            why="tokens of one model mean something else to another, and a comparison would say nothing",
            fix="verify with the model that drafts, or with one of the same tokenizer",
        )
