"""How a block is drawn: a draft alone while the answer is calm, N candidates where it is not.

A draft that looks risky before it is complete has the wide round begin beside it, and share its steps. That changes no
answer: the draft is judged at its end as ever, and the round is the one that would have been drawn after it.

After a round that gave nothing safe, the next one avoids the tokens of the failed candidates (penalise-and-resample).
Source: arXiv 2502.01208, section on resampling (figure caption of v3); the formula's constants are not published.
Departure: logit -= strength * attempt * min(1, 2 * share of failed candidates that hold the token), so one common
word of one failed candidate is hardly touched and a word of all of them fully. End, special and whitespace tokens are
never touched, and nothing is kept after a block succeeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from ig_guardrail.search.base import SearchContext
from ig_guardrail.search.drawing.ranking import Candidate, acceptable, rank, too_short
from ig_guardrail.search.drawing.round import Round
from ig_guardrail.search.drawing.steering import Steering
from ig_guardrail.types import (
    Accepted,
    Append,
    Commit,
    CostEstimate,
    Draw,
    Drop,
    Extend,
    Node,
    Score,
    SearchOp,
    Together,
)

UNLIKELY = 0.5  # the critic's P(safe) under which a draft counts as risky
PATIENCE = 64  # rounds that gave nothing safe, before anything more was shown, after which the search gives up
SHORTEST_PIECE = 2  # tokens; a draft in smaller ones costs more than an early look saves


@dataclass(slots=True)
class Level:
    """One depth: the beams it grows from, the ranked children still to try, the blocks that failed, rounds drawn."""

    parents: tuple[Node, ...]
    pool: list[Candidate] = field(default_factory=list)
    failed: list[tuple[int, ...]] = field(default_factory=list)
    drafted: bool = False
    rounds: int = 0

    def block_of(self, node: Node) -> tuple[int, ...]:
        """The tokens of a node that lie behind the beam it grew from."""
        steps = list(takewhile(lambda step: all(step is not parent for parent in self.parents), node.ancestors()))
        return tuple(token for step in reversed(steps) for token in step.ids)


class Widening:
    """Draws blocks. Remembers of the answer whether risk has shown, how much was shown, and its twin context.

    use_margin   risk has shown: from then on every block keeps the acceptance margin
    last_draft_risky  the last draft was not calm: the next one is drawn with the wide round beside it

    Backing up tries the whole tree of what is held back, which a long unit makes deep; patience bounds that.
    """

    def __init__(self, ctx: SearchContext, root: Node) -> None:
        """root: where the search begins; answer tokens that it has stand as if they had been shown."""
        self.ctx = ctx
        self.settings = ctx.settings
        self.use_margin = ctx.use_margin or ctx.strict
        self.last_draft_risky = self.use_margin
        self.shown = root.position  # answer tokens
        self._tip = self._stem = root  # the node committed last, and its first ancestor that has all that was shown
        self.in_vain = 0
        self.steering = Steering(ctx.steer) if ctx.steer else None

    def commit(self, node: Node) -> Generator[SearchOp, Any, bool]:
        """Offer a node to the gate; whether it was taken."""
        reply = yield Commit(node)
        if isinstance(reply, Accepted):
            self.in_vain = 0 if reply.released > self.shown else self.in_vain
            self.shown, self._tip = reply.released, node
            *_, self._stem = takewhile(lambda step: step.position >= self.shown, node.ancestors())
        return isinstance(reply, Accepted)

    def next_beams(self, level: Level) -> Generator[SearchOp, Any, list[Node]]:
        """The next K untried beams of a level, drawing where its pool is empty; [] when the level is spent."""
        while True:
            level.pool = [c for c in level.pool if self._continues(c.node)]
            if level.pool:
                taken, level.pool = level.pool[: self.settings.beams], level.pool[self.settings.beams :]
                return [candidate.node for candidate in taken]
            if level.rounds > self.settings.retries or self.in_vain >= PATIENCE:
                return []
            if not all(self._continues(parent) for parent in level.parents):
                yield from self._regrow(level)
            level.pool = yield from self._draw(level)

    def prune(self, levels: list[Level]) -> Generator[SearchOp, Any, list[Level]]:
        """The levels worth backing up to: from the deepest one that starts within what was shown. Drops the rest."""
        depths = [min(parent.position for parent in level.parents) for level in levels]
        first = max(i for i, depth in enumerate(depths) if depth <= self.shown)
        for level in levels[:first]:
            for parent in level.parents:
                yield from self.steering.forget(parent) if self.steering else ()
            yield Drop((*level.parents, *(c.node for c in level.pool)))
        return levels[first:]

    def _continues(self, node: Node) -> bool:
        """Whether what was shown is a prefix of this answer."""
        behind = takewhile(lambda step: step.position >= self._stem.position, node.ancestors())
        return any(step is self._stem for step in behind) or node.answer_ids()[: self.shown] == self._released()

    def _released(self) -> tuple[int, ...]:
        """The answer tokens that were shown."""
        return self._tip.answer_ids()[: self.shown]

    def _regrow(self, level: Level) -> Generator[SearchOp, Any, None]:
        """Move a level that starts before the end of what was shown to exactly that end."""
        released = self._released()
        stem = next(p for p in level.parents if p.answer_ids() == released[: p.position])
        level.parents = tuple((yield Append(((stem, released[stem.position :]),))))
        level.drafted = True

    def _draw(self, level: Level) -> Generator[SearchOp, Any, list[Candidate]]:
        """A calm draft alone, or one wide round, with a draft that is not calm as its candidate 0."""
        candidates: list[Candidate] = []
        beside: Round | None = None
        if self._drafts(level):
            level.drafted = True
            draft, beside = yield from self._draft(level)
            candidates = yield from self._judge([draft])
            self.last_draft_risky = not self._calm(candidates[0])
            if not self.last_draft_risky:
                yield from _drop(beside.made() if beside else ())
                return candidates
            self.use_margin = True
        wide = beside or (yield from self._begin(level))
        level.rounds += 1
        candidates += yield from self._judge([*_done(level), *(yield from self._finish(wide))])
        lost = [c.node for c in candidates if not c.cost.within or too_short(c.node, self.settings)]
        level.failed += [level.block_of(node) for node in lost]
        yield Drop(tuple(lost))
        ranked = rank(candidates, self.settings)
        self.in_vain += not ranked
        return ranked

    def _drafts(self, level: Level) -> bool:
        alone = len(level.parents) == 1 and not level.drafted and level.rounds == 0
        return alone and self.settings.mode == "on_risk" and not self.ctx.strict

    def _draft(self, level: Level) -> Generator[SearchOp, Any, tuple[Node, Round | None]]:
        """Lane 0 in pieces, and the wide round, if the last draft was risky or an early look at the draft showed risk.

        A piece that keeps the acceptance margin is committed, so that text flows; what is shown of it still ends
        `hold` tokens behind, before the block begins.
        """
        node, beside = level.parents[0], None
        passed: list[Node] = []
        if self.last_draft_risky and self.ctx.early_score:
            beside = yield from self._begin(level)
        for length in self._pieces():
            last = node
            node = yield from self._grow(node, beside, length)
            passed += [last] if last is not level.parents[0] else []
            if node.finish is not None or node.position - level.parents[0].position == self.settings.block:
                break
            (pressure,) = yield Score((node,), "early_score")
            if pressure > (self.settings.accept if self.use_margin else self.settings.trigger):
                beside = beside or (yield from self._begin(level))
            elif pressure <= self.settings.accept and self.settings.hold >= self.settings.block:
                yield from self.commit(node)
        yield from _drop(passed)
        return node, beside

    def _pieces(self) -> tuple[int, ...]:
        """Tokens from one look at the draft to the next: quarters, so that text flows evenly."""
        block, quarter = self.settings.block, self.settings.block // 4
        if not self.ctx.early_score or quarter < SHORTEST_PIECE:
            return (block,)
        return quarter, quarter, quarter, block - 3 * quarter

    def _grow(self, node: Node, beside: Round | None, tokens: int) -> Generator[SearchOp, Any, Node]:
        """The draft's next piece; the same for a round beside it, in the same steps."""
        if beside is None or beside.ended:
            (grown,) = yield Extend((Draw(node),), tokens)
        else:
            (grown,), rows = yield Together((Extend((Draw(node),), tokens), beside.next(tokens)))
            beside.take(rows)
        draft: Node = grown
        return draft

    def _calm(self, draft: Candidate) -> bool:
        if draft.chance < UNLIKELY:
            return False
        if self.use_margin:
            return acceptable(draft, self.settings)
        return draft.cost.spent == 0 and draft.cost.pressure <= self.settings.trigger

    def _begin(self, level: Level) -> Generator[SearchOp, Any, Round]:
        """The level's next round over the beams that still grow, in their twins if it is steered."""
        growing = [node for node in level.parents if node.finish is None]
        share = max(1, (self.settings.candidates - len(_done(level))) // max(1, len(growing)))
        homes = tuple(node for node in growing for _ in range(share))
        lanes = tuple(range(len(homes)))
        bias = frequency_penalty(level.failed, self.settings.penalty, level.rounds, self.ctx.protected)
        if self.steering is None:
            first = 1 if level.drafted and level.rounds == 0 else 0
            return Round(homes, tuple(lane + first for lane in lanes), list(homes), level.rounds, bias, steered=False)
        twins: list[Node] = []
        for node in growing:
            twins += [(yield from self.steering.follow(node))] * share
        return Round(homes, lanes, twins, level.rounds + 1, bias, steered=True)

    def _finish(self, wide: Round) -> Generator[SearchOp, Any, list[Node]]:
        """Grow a round to the end of the block; its rows, in the answer's own context."""
        left = self.settings.block - wide.grown
        if left > 0 and not wide.ended:
            wide.take((yield wide.next(left)))
        rows = list(wide.rows)
        if wide.steered and rows:
            rows = yield Append(tuple(zip(wide.homes, wide.rows, strict=True)))
        yield from _drop(wide.made() if wide.steered else wide.passed())
        return rows

    def _judge(self, nodes: Sequence[Node]) -> Generator[SearchOp, Any, list[Candidate]]:
        """Costs; where there is a critic or a task model, their word as well."""
        costs: list[CostEstimate] = yield Score(tuple(nodes))
        chances = (yield Score(tuple(nodes), "critic")) if self.ctx.critic else [1.0] * len(nodes)
        values = (yield Score(tuple(nodes), "reward")) if self.ctx.reward else [None] * len(nodes)
        return [Candidate(*row) for row in zip(nodes, costs, chances, values, strict=True)]


def _done(level: Level) -> list[Node]:
    """Beams whose answer has ended; they stay candidates as they are."""
    return [node for node in level.parents if node.finish is not None]


def _drop(nodes: Sequence[Node]) -> Generator[SearchOp, Any, None]:
    if nodes:
        yield Drop(tuple(nodes))


def frequency_penalty(
    failed: Sequence[Sequence[int]], strength: float, attempt: int, protected: frozenset[int]
) -> tuple[tuple[int, float], ...]:
    """(token, logit bias <= 0) for the tokens of the failed blocks, by token id. attempt counts from 1."""
    if not failed or strength == 0:
        return ()
    holders = Counter(token for block in failed for token in set(block) - protected)
    scale = strength * attempt
    return tuple((token, -scale * min(1.0, 2 * n / len(failed))) for token, n in sorted(holders.items()))
