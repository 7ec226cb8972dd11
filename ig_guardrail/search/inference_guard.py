"""InferenceGuard: blockwise search for a continuation whose every prefix stays within the budgets.

Source: arXiv 2502.01208, the blockwise beam search with penalise-and-resample. In each block, N candidates grow from K
beams; those whose remaining budget z' >= 0 for every enforced budget survive; the best K go on.

Departures, each measured to matter more than what it replaces:
- `on_risk`: a block is first drafted on lane 0 alone, the unguarded stream, and committed if it cost nothing and no
  trigger fired. Wide search costs only where risk shows.
- hysteresis: once a draft fired, replacements and all later blocks keep a margin below the threshold (`accept`).
- steered proposals (`steering`).
- backing up: a block whose every continuation fails gives way to the next candidate before it, as long as that text was
  not shown. The paper keeps the best-scored unsafe beam; here an unsafe one is never kept.

The search is depth first over levels. A level holds the beams it grows from and the safe children not yet tried.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.search.penalty import frequency_penalty
from ig_guardrail.search.ranking import Candidate, acceptable, rank, too_short
from ig_guardrail.search.steering import Steering
from ig_guardrail.types import Accepted, Append, Commit, Cost, Draw, Drop, Extend, Node, Request, Score

UNLIKELY = 0.5  # the critic's P(safe) under which a draft counts as risky


@dataclass(slots=True)
class Level:
    """One depth: the beams it grows from, the ranked children still to try, those that failed, wide rounds drawn."""

    parents: tuple[Node, ...]
    pool: list[Candidate] = field(default_factory=list)
    failed: list[Node] = field(default_factory=list)
    drafted: bool = False
    rounds: int = 0


def search(root: Node, ctx: SearchContext) -> Search:
    """Take the best untried beams of the deepest level, commit what they share, go deeper; back up when stuck."""
    widening = Widening(ctx)
    levels = [Level((root,))]
    tip = root
    released: tuple[int, ...] = ()
    while levels:
        level = levels[-1]
        beams = yield from widening.next_beams(level, released)
        if not beams:
            levels.pop()
            continue
        finished = all(beam.finish is not None for beam in beams)
        offer = beams[0] if finished else shared_prefix(beams)
        if finished or all(offer is not node for node in tip.ancestors()):
            reply = yield Commit(offer)
            if not isinstance(reply, Accepted):
                continue
            tip, released = offer, offer.answer_ids()[: reply.released]
        if finished:
            return
        levels.append(Level(tuple(beams)))
        levels = yield from widening.prune(levels, released)


class Widening:
    """How blocks are drawn. Remembers of the answer only whether risk has shown, and its twin context."""

    def __init__(self, ctx: SearchContext) -> None:
        self.ctx = ctx
        self.settings = ctx.settings
        self.wary = ctx.wary or ctx.strict
        self.steering = Steering(ctx.steer) if ctx.steer else None

    def next_beams(self, level: Level, released: tuple[int, ...]) -> Generator[Request, Any, list[Node]]:
        """The next K untried beams of a level, drawing where its pool is empty; [] when the level is spent."""
        while True:
            level.pool = [c for c in level.pool if continues(c.node, released)]
            if level.pool:
                taken, level.pool = level.pool[: self.settings.beams], level.pool[self.settings.beams :]
                return [candidate.node for candidate in taken]
            if level.rounds > self.settings.retries:
                return []
            if not all(continues(parent, released) for parent in level.parents):
                yield from self._regrow(level, released)
            level.pool = yield from self._draw(level)

    def prune(self, levels: list[Level], released: tuple[int, ...]) -> Generator[Request, Any, list[Level]]:
        """The levels worth backing up to: from the deepest one that starts within what was shown. Drops the rest."""
        depths = [min(parent.position for parent in level.parents) for level in levels]
        first = max(i for i, depth in enumerate(depths) if depth <= len(released))
        for level in levels[:first]:
            for parent in level.parents:
                yield from self.steering.forget(parent) if self.steering else ()
            yield Drop((*level.parents, *(c.node for c in level.pool)))
        return levels[first:]

    def _regrow(self, level: Level, released: tuple[int, ...]) -> Generator[Request, Any, None]:
        """Move a level that starts before the end of what was shown to exactly that end."""
        stem = next(p for p in level.parents if p.answer_ids() == released[: p.position])
        level.parents = tuple((yield Append(((stem, released[stem.position :]),))))
        level.drafted = True

    def _draw(self, level: Level) -> Generator[Request, Any, list[Candidate]]:
        """A calm draft alone, or one wide round, with a draft that is not calm as its candidate 0."""
        candidates: list[Candidate] = []
        if self._drafts(level):
            level.drafted = True
            (node,) = yield Extend((Draw(level.parents[0]),), tokens=self.settings.block)
            candidates = yield from self._judge([node])
            if self._calm(candidates[0]):
                return candidates
            self.wary = True
        level.rounds += 1
        candidates += yield from self._wide(level)
        lost = [c.node for c in candidates if not c.cost.within or too_short(c.node, self.settings)]
        level.failed += lost
        yield Drop(tuple(lost))
        return rank(candidates, self.settings)

    def _drafts(self, level: Level) -> bool:
        alone = len(level.parents) == 1 and not level.drafted and level.rounds == 0
        return alone and self.settings.mode == "on_risk" and not self.ctx.strict

    def _calm(self, draft: Candidate) -> bool:
        if draft.chance < UNLIKELY:
            return False
        if self.wary:
            return acceptable(draft, self.settings)
        return draft.cost.spent == 0 and draft.cost.pressure <= self.settings.trigger

    def _wide(self, level: Level) -> Generator[Request, Any, list[Candidate]]:
        """N candidates over the beams that still grow; finished beams stay candidates as they are."""
        done = [node for node in level.parents if node.finish is not None]
        growing = [node for node in level.parents if node.finish is None]
        bias = frequency_penalty(level.failed, self.settings.penalty, level.rounds - 1, self.ctx.protected)
        share = max(1, (self.settings.candidates - len(done)) // max(1, len(growing)))
        grow = self._plain if self.steering is None else self._steered
        children = yield from grow(level, [Draw(node, share, i * share) for i, node in enumerate(growing)], bias)
        return (yield from self._judge([*done, *children]))

    def _plain(
        self, level: Level, draws: list[Draw], bias: tuple[tuple[int, float], ...]
    ) -> Generator[Request, Any, list[Node]]:
        attempt = level.rounds - 1
        if level.drafted and attempt == 0:
            draws = [Draw(draw.node, draw.count, draw.lane + 1) for draw in draws]
        children: list[Node] = yield Extend(tuple(draws), self.settings.block, attempt, bias)
        return children

    def _steered(
        self, level: Level, draws: list[Draw], bias: tuple[tuple[int, float], ...]
    ) -> Generator[Request, Any, list[Node]]:
        assert self.steering is not None
        moved: list[tuple[Node, Node]] = []
        for draw in draws:
            twin = yield from self.steering.follow(draw.node)
            aside = Draw(twin, draw.count, draw.lane)
            blocks = yield Extend((aside,), self.settings.block, level.rounds, bias)
            moved += [(draw.node, block) for block in blocks]
        children: list[Node] = yield Append(tuple(moved))
        yield Drop(tuple(block for _, block in moved))
        return children

    def _judge(self, nodes: Sequence[Node]) -> Generator[Request, Any, list[Candidate]]:
        """Costs; where there is a critic or a task model, their word as well."""
        costs: list[Cost] = yield Score(tuple(nodes))
        chances = (yield Score(tuple(nodes), "critic")) if self.ctx.critic else [1.0] * len(nodes)
        values = (yield Score(tuple(nodes), "reward")) if self.ctx.reward else [None] * len(nodes)
        return [Candidate(*row) for row in zip(nodes, costs, chances, values, strict=True)]


def shared_prefix(nodes: Sequence[Node]) -> Node:
    """The deepest node on every path; with one beam, the beam."""
    paths = [node.path() for node in nodes]
    shared = paths[0][0]
    for step in zip(*paths, strict=False):
        if any(node is not step[0] for node in step):
            break
        shared = step[0]
    return shared


def continues(node: Node, released: tuple[int, ...]) -> bool:
    """Whether what was shown is a prefix of this answer."""
    return node.answer_ids()[: len(released)] == released
