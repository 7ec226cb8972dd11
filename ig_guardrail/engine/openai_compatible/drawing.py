"""Nodes that grow by what a server draws.

A server is asked for `segment` tokens at once, with a seed of their place: so an answer does not depend on the blocks
it is cut in. What a block leaves of a segment is kept with its node, for whoever goes on from there in the same way.

A form is kept on this side: what is drawn is read by the grammar, and the first token that does not fit is drawn again
among those that do. What was drawn behind it is void. So is what was drawn behind a token that had to be another one,
such as the end of a thought at its limit.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.engine.decoding.randomness import uniform
from ig_guardrail.engine.openai_compatible.asking import Asker, not_told
from ig_guardrail.engine.openai_compatible.orders import BlockOrder, DrawnBlock, DrawnToken, ScoreOrder
from ig_guardrail.engine.text.thought_reader import ThoughtHeld
from ig_guardrail.engine.tree import Context, NodeTree, TreeEntry
from ig_guardrail.errors import EngineError
from ig_guardrail.threads.together import together
from ig_guardrail.types import Draw, Node

How: TypeAlias = tuple[int, int, tuple[tuple[int, float], ...]]
"""Lane, attempt and bias: what tells one way to go on from a node from another, apart from its request."""

BiasPairs: TypeAlias = tuple[tuple[int, float], ...]

MOST_ALLOWED = 4096  # tokens of which a server is told that it may draw only them
_SEEDS = 2**30  # of which every server's numbers have room, and for lanes beside


@dataclass(frozen=True, slots=True)
class DrawnPlace:
    """Where an answer can go on: what was drawn behind it already, and how. `ranked` keeps likeliest tokens."""

    how: How | None = None
    rest: tuple[DrawnToken, ...] = ()
    ranked: dict[int, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass(slots=True)
class Lane:
    """One answer that grows: what was drawn and not read yet, and the log-probabilities of what was."""

    entry: TreeEntry[DrawnPlace]
    draft: AnswerDraft
    how: How
    waiting: deque[DrawnToken]
    logprobs: list[float | None] = field(default_factory=list)

    @property
    def context(self) -> Context:
        return self.entry.context

    def read(self, token: int, logprob: float | None) -> None:
        """Take one token into the answer."""
        if self.draft.read(token):
            self.logprobs.append(logprob)


@dataclass(frozen=True, slots=True)
class Drawing:
    """Grows `tree` by what `asker` is given. segment: tokens that are asked for at once."""

    tree: NodeTree[DrawnPlace]
    asker: Asker
    segment: int

    async def extend(self, draws: Sequence[Draw], tokens: int, attempt: int, bias: BiasPairs) -> list[Node]:
        """Sample blocks; see `Engine.extend`."""
        runs = [self._lanes(draw, attempt, bias) for draw in draws]
        await together([self._begin(run) for run in runs])
        lanes = [lane for run in runs for lane in run]
        await together([self._fill(lane, tokens) for lane in lanes])
        return await self.children(lanes)

    async def likeliest(self, node: Node, k: int) -> list[tuple[int, float]]:
        """The `k` likeliest tokens behind which an answer can be closed; see `Engine.top_logprobs`."""
        entry, place = self.tree.find(node)
        if k in place.ranked:
            return place.ranked[k]
        draft = entry.draft()
        self.asker.check_top(k)
        told = await self._told(Lane(entry, draft, (0, 0, ()), deque()), min(k + draft.tries, self.asker.wire.most_top))
        allowed = draft.allowed()
        known = dict(told)
        ids = draft.fitting([token for token, _ in told if allowed is None or allowed[token]], k)
        found = [(token, known.get(token, -math.inf)) for token in ids]
        place.ranked[k] = found
        return found

    async def children(self, lanes: Sequence[Lane]) -> list[Node]:
        """The lanes as nodes of the tree, in order. Unknown log-probabilities are asked for where they are told."""
        await together([self._judge(lane) for lane in lanes])
        nodes = []
        for lane in lanes:
            node = lane.draft.node(self.tree.number(), {})
            rest = DrawnPlace(lane.how, tuple(lane.waiting)) if lane.waiting else DrawnPlace()
            self.tree.grow(lane.context, node, lane.draft.held, None if node.finish is not None else rest)
            nodes.append(node)
        return nodes

    def _lanes(self, draw: Draw, attempt: int, bias: BiasPairs) -> list[Lane]:
        entry, place = self.tree.find(draw.node)
        lanes = []
        for lane in range(draw.lane, draw.lane + draw.count):
            how = (lane, attempt, bias)
            lanes.append(Lane(entry, entry.draft(), how, deque(place.rest if how == place.how else ())))
        return lanes

    async def _begin(self, run: Sequence[Lane]) -> None:
        """Ask for the first segments of lanes beside each other at once, where the tokens are to be drawn."""
        fresh = [lane for lane in run if not lane.waiting and _due(lane.draft) is None and _only(lane.draft) is None]
        while fresh:
            side = [lane for i, lane in enumerate(fresh) if lane.how[0] == fresh[0].how[0] + i]
            for lane, block in zip(side, await self._draw(side[0], len(side)), strict=True):
                lane.waiting.extend(self._read_out(block))
            fresh = fresh[len(side) :]

    async def _fill(self, lane: Lane, tokens: int) -> None:
        """Read tokens up to the end of a block, or of the answer."""
        draft = lane.draft
        while draft.finish is None and len(draft.ids) < tokens:
            due = _due(draft)
            forced = due if due is not None else None if lane.waiting else _only(draft)
            if forced is not None:
                lane.waiting.clear()
                lane.read(forced, None)
                continue
            if not lane.waiting:
                (block,) = await self._draw(lane, 1)
                lane.waiting.extend(self._read_out(block))
            await self._next(lane, lane.waiting.popleft())

    async def _next(self, lane: Lane, drawn: DrawnToken) -> None:
        """Read a drawn token, or what must or may stand in its place."""
        draft = lane.draft
        due = draft.due(drawn.id)
        if due != drawn.id:
            lane.waiting.clear()
            lane.read(due, None)
            return
        allowed = draft.allowed()
        if allowed is not None and not (allowed[drawn.id] and draft.may_read(drawn.id)):
            lane.waiting.clear()
            drawn = await self._another(lane, allowed, drawn if allowed[drawn.id] else None)
        lane.read(drawn.id, drawn.logprob)

    async def _another(self, lane: Lane, allowed: NDArray[np.bool_], fitting: DrawnToken | None) -> DrawnToken:
        """A token behind which the answer can be closed, in place of a drawn one; the way out after some tries.

        fitting: the one that was drawn, where the form allows it; where no way out is known, the first such stands
        """
        draft, first = lane.draft, fitting
        for _ in range(draft.tries):
            if fitting is not None:
                draft.give_up(fitting.id)
                allowed[fitting.id] = False
            fitting = await self._among(lane, allowed)
            if fitting is None:
                break
            if draft.may_read(fitting.id):
                return fitting
            first = first or fitting
        out = draft.form.way_out(draft.left) if draft.form is not None else None
        if out is not None:
            return DrawnToken(out, None)
        if first is not None:
            return first
        raise EngineError(
            "no token was drawn with which the answer keeps the form that was asked for",
            where=f"server {self.asker.server.address}",
            why="a form that was promised must hold at every token",
            fix="ask for a simpler form, or use a local model",
        )

    async def _among(self, lane: Lane, allowed: NDArray[np.bool_]) -> DrawnToken | None:
        """A token drawn among those that are allowed; None if there is none, or none that the server tells of."""
        ids = np.flatnonzero(allowed).tolist()
        if len(ids) <= 1:
            return DrawnToken(ids[0], None) if ids else None
        if self.asker.wire.masks and len(ids) <= MOST_ALLOWED:
            (block,) = await self._draw(lane, 1, allowed=tuple(ids))
            drawn = self._read_out(block)[0]
            return drawn if allowed[drawn.id] else None
        if not self.asker.wire.most_top:
            return None
        told = await self._told(lane, self.asker.wire.most_top)
        return _pick([(token, value) for token, value in told if allowed[token]], lane)

    async def _told(self, lane: Lane, count: int) -> list[tuple[int, float]]:
        """The `count` likeliest tokens behind a lane, by the raw model, likeliest first, equal ones by ascending id."""
        order = self._order(lane, 1, 1)
        raw = replace(lane.context.sampling, temperature=0.0, repetition_penalty=1.0)
        asked = replace(order, sampling=raw, bias={}, top=count)
        (block,) = await self.asker.draw(asked, lane.context.account)
        first = block.tokens[0] if block.tokens else None
        if first is None or len(first.top) < min(count, 2):
            raise not_told("the likeliest tokens where an answer would end, nor others", self.asker.server)
        return sorted(first.top, key=lambda one: (-one[1], one[0]))[:count]

    async def _draw(self, lane: Lane, count: int, allowed: tuple[int, ...] | None = None) -> list[DrawnBlock]:
        penalised = lane.context.sampling.frequency_penalty or lane.context.sampling.presence_penalty
        tokens = 1 if allowed is not None or penalised else min(self.segment, lane.draft.left)
        order = replace(self._order(lane, tokens, count), allowed=allowed)
        return await self.asker.draw(order, lane.context.account)

    def _order(self, lane: Lane, tokens: int, count: int) -> BlockOrder:
        context, answer, (number, attempt, bias) = lane.context, lane.draft.answer_ids(), lane.how
        context.account.check_open()
        return BlockOrder(
            prompt=(*context.prompt.ids, *answer),
            tokens=tokens,
            sampling=context.sampling,
            seed=seed_of(context.sampling.seed, lane.draft.position, attempt) + number,
            count=count,
            bias=_total((*context.sampling.logit_bias, *bias, *_penalties(context, answer))),
            ends=tuple(sorted(context.rules.language.end)),
            salt=self.asker.salt(context.account, context.prompt.cache_salt),
        )

    def _read_out(self, block: DrawnBlock) -> tuple[DrawnToken, ...]:
        """The tokens of a block, with the end token that a server leaves out."""
        end = self.asker.language.end
        if block.stopped and not any(token.id in end for token in block.tokens):
            return (*block.tokens, DrawnToken(min(end), None))
        return block.tokens

    async def _judge(self, lane: Lane) -> None:
        """Give a lane's draft its log-probabilities, told or asked for; NaN where the server tells none."""
        ids, known = lane.draft.ids, lane.logprobs
        if None in known and self.asker.wire.scores:
            before = (*lane.context.prompt.ids, *lane.entry.node.answer_ids())
            salt = self.asker.salt(lane.context.account, lane.context.prompt.cache_salt)
            order = ScoreOrder((*before, *ids), len(ids), salt=salt)
            known = [one.logprob for one in await self.asker.score(order, lane.context.account)]
        lane.draft.logprobs = [math.nan if value is None else value for value in known]


def seed_of(seed: int, position: int, attempt: int) -> int:
    """The server's seed of lane 0 for tokens from a position of the answer on; lane i has the i-th after it."""
    key = struct.pack("<3Q", *(number & (2**64 - 1) for number in (seed, position, attempt)))
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") % _SEEDS


def _due(draft: AnswerDraft) -> int | None:
    """The token that must come next, whatever would be drawn: of a thought's marker, or at its limit."""
    held = draft.held
    return draft.due(0) if isinstance(held, ThoughtHeld) and (held.forced or held.over) else None


def _only(draft: AnswerDraft) -> int | None:
    """The only token that a form allows next; None where there is a choice."""
    allowed = draft.allowed()
    if allowed is None or np.count_nonzero(allowed) != 1:
        return None
    token = int(np.flatnonzero(allowed)[0])
    return token if draft.due(token) == token and draft.may_read(token) else None


def _penalties(context: Context, answer: Sequence[int]) -> BiasPairs:
    """What the frequency and presence penalties take from the logits of what an answer holds."""
    frequency, presence = context.sampling.frequency_penalty, context.sampling.presence_penalty
    if not frequency and not presence:
        return ()
    return tuple((token, -(frequency * times + presence)) for token, times in Counter(answer).items())


def _total(pairs: BiasPairs) -> dict[int, float]:
    total: dict[int, float] = {}
    for token, value in pairs:
        total[token] = total.get(token, 0.0) + value
    return total


def _pick(options: Sequence[tuple[int, float]], lane: Lane) -> DrawnToken | None:
    """One of some tokens, likeliest first, by their log-probabilities at the request's temperature."""
    sampling, (number, attempt, _) = lane.context.sampling, lane.how
    if not options:
        return None
    if sampling.temperature == 0:
        return DrawnToken(*options[0])
    masses = [math.exp((value - options[0][1]) / sampling.temperature) for _, value in options]
    left = uniform(sampling.seed, lane.draft.position, number, attempt) * math.fsum(masses)
    for (token, value), mass in zip(options, masses, strict=True):
        left -= mass
        if left < 0:
            return DrawnToken(token, value)
    return DrawnToken(*options[-1])
