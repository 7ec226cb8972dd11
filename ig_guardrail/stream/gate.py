"""The gate: the only door between what a strategy found and what a reader sees.

It charges every committed node against the budgets itself and lets out text only up to the last charge point that every
enforced budget passed. It believes nothing a strategy, a critic or a candidate says of its own safety: measures come
from the drive, and measures that are missing, surplus or not scores stop the stream.

It knows nothing of models, tokens' meaning, threads or protocols.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from ig_guardrail.budget import BudgetRule, Point, SafetyState, charge_points, last_point, next_point, remaining, settle
from ig_guardrail.errors import CostFailure, EngineError
from ig_guardrail.stream.release import Hold, releasable, tokens_behind
from ig_guardrail.types import Accepted, Charge, Denied, Measure, Node


@dataclass(frozen=True, slots=True)
class CommittedNode:
    """A committed node, the safety state after it, and the charges that its own block added."""

    node: Node
    state: SafetyState
    charges: tuple[Charge, ...] = ()


class Gate:
    """The account and the door of one answer.

    Commits are provisional until released: a later commit may replace whatever was not shown, and the state rolls back
    to the common ancestor. Shown text never changes.
    """

    def __init__(self, root: Node, rules: Sequence[BudgetRule], hold: Hold, opening: SafetyState | None = None) -> None:
        """opening: what was spent before the first token, where a budget is shared with earlier answers."""
        self._rules = tuple(rules)
        self._hold = hold
        self._steps = [CommittedNode(root, opening or SafetyState())]
        self._depths = {root: 0}  # of the committed nodes
        self._given = 0  # characters that stand as if they had been shown
        self._shown = ""
        self._thought = 0  # characters of what was shown that are thought
        self._released = 0
        self._closed = False

    @property
    def tip(self) -> Node:
        """The last committed node."""
        return self._steps[-1].node

    @property
    def text(self) -> str:
        """Everything that was shown, but for a thought before it."""
        return self._shown[max(self._given, self._thought) :]

    @property
    def reasoning(self) -> str:
        """The thought, as far as it was shown."""
        return self._shown[self._given : self._thought]

    @property
    def end(self) -> int:
        """Characters of the answer's text that were shown, or stand as if they had been; a thought's among them."""
        return len(self._shown)

    @property
    def given(self) -> int:
        """Of these the characters that were not shown: of a beginning that the caller wrote, of a hidden thought."""
        return self._given

    @property
    def shown(self) -> bool:
        """Whether anything was shown."""
        return len(self._shown) > self._given

    @property
    def released(self) -> int:
        """Answer tokens that shown text rests on; they can no longer be replaced."""
        return self._released

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The account of the committed answer, in order."""
        return tuple(line for step in self._steps for line in step.charges)

    def adopt(self, beginning: Node, measures: Sequence[Measure]) -> Accepted | Denied:
        """Charge a beginning that the caller wrote, before anything else; it stands as if it had been shown."""
        reply = self.commit(beginning, measures)
        if isinstance(reply, Accepted):
            self._shown = beginning.text[: beginning.visible]
            self._given = len(self._shown)
            self._released = beginning.position
        return reply

    def state_at(self, node: Node) -> SafetyState:
        """The safety state of the nearest committed ancestor of `node`."""
        return self._steps[self._branch(node) or 0].state

    def due(self, node: Node) -> tuple[tuple[str, Point], ...]:
        """The measures a commit of `node` needs: budget ids and charge points past its nearest committed ancestor."""
        start = self._steps[self._branch(node) or 0].node.position
        ended = node.finish is not None
        return tuple(
            (rule.budget.id, point)
            for rule in self._rules
            for point in charge_points(rule, start, node.position, ended)
        )

    def commit(self, node: Node, measures: Sequence[Measure]) -> Accepted | Denied:
        """Charge `node`; take it if every enforced budget lasts, else change nothing.

        Raises CostFailure if the measures are not exactly those that are due, or not scores.
        """
        if self._closed:
            return Denied("the stream is closed")
        index = self._branch(node)
        if index is None:
            return Denied("not a continuation of this answer")
        if not self._continues_what_was_shown(node, self._steps[index].node):
            return Denied("released text cannot be replaced")
        self._demand(self.due(node), measures)
        state, charges = settle(self._rules, self._steps[index].state, measures)
        over = self._first_overdrawn(charges)
        if over is not None:
            return Denied("budget", over.budget, over.position)
        for step in self._steps[index + 1 :]:
            del self._depths[step.node]
        self._steps[index + 1 :] = [CommittedNode(node, state, charges)]
        self._depths[node] = index + 1
        return Accepted(self.balance(), self._released)

    def release(self) -> str:
        """The text that may be shown now and was not yet; from then on it cannot be taken back."""
        if self._closed:
            return ""
        node = self.tip
        end = self._releasable()
        if end <= len(self._shown):
            return ""
        if not node.text.startswith(self._shown):
            raise EngineError(
                "the text of a committed prefix changed", where="gate", why="shown text would be retracted"
            )
        self._thought = min(node.thought.characters, end)
        if self._hold.hidden:
            self._given = max(self._given, self._thought)
        fresh = node.text[max(len(self._shown), self._given) : end]
        self._shown = node.text[:end]
        self._released = max(self._released, tokens_behind(node, end))
        return fresh

    def payable(self) -> dict[str, float] | None:
        """What every budget will have spent for all that is shown, once `release` was called; None if nothing is new.

        Text is paid for by the charge points at or behind its end, which lie in later steps than its tokens may.
        """
        end = self._releasable()
        if self._closed or end <= len(self._shown):
            return None
        released = max(self._released, tokens_behind(self.tip, end))
        through = max((next_point(rule, released) for rule in self._rules if rule.enforced), default=released)
        place = bisect_left(self._steps, through, key=lambda step: step.node.position)
        paid = self._steps[min(place, len(self._steps) - 1)]
        state = self._steps[-1].state if self.tip.finish is not None else paid.state
        return {rule.budget.id: state.account(rule.budget).spend for rule in self._rules}

    def close(self, message: str = "") -> str:
        """End the stream, with a pre-approved message (policy text, not charged) where there is one to say."""
        if self._closed:
            return ""
        self._closed = True
        fresh = behind(message) if message and self.text else message
        self._shown += fresh
        return fresh

    def balance(self) -> dict[str, float]:
        """z of every budget after the last committed node."""
        state, position = self._steps[-1].state, self.tip.position
        return {rule.budget.id: remaining(rule.budget, state.account(rule.budget), position) for rule in self._rules}

    def spend(self) -> dict[str, float]:
        """Discounted spend of every budget after the last committed node."""
        return {rule.budget.id: self._steps[-1].state.account(rule.budget).spend for rule in self._rules}

    def _releasable(self) -> int:
        return releasable(self.tip, self._passed(self.tip), self._hold)

    def _branch(self, node: Node) -> int | None:
        """How deep the nearest committed ancestor lies; None if there is none."""
        above = itertools.islice(node.ancestors(), 1, None)
        return next((self._depths[step] for step in above if step in self._depths), None)

    def _continues_what_was_shown(self, node: Node, stem: Node) -> bool:
        """stem: the nearest committed ancestor; what was shown of it is the same to begin with."""
        if stem.position >= self._released:
            return True
        return node.answer_ids()[: self._released] == self.tip.answer_ids()[: self._released]

    def _demand(self, due: Sequence[tuple[str, Point]], measures: Sequence[Measure]) -> None:
        given = [(measure.budget, Point(measure.position, measure.ended)) for measure in measures]
        if sorted(given, key=_order) != sorted(due, key=_order):
            raise CostFailure("the scores at hand are not those that are due", where="gate", why=f"{given} for {due}")
        for measure in measures:
            if not (math.isfinite(measure.score) and 0 <= measure.score <= 1):
                raise CostFailure(
                    f"budget '{measure.budget}' got {measure.score!r}, which is not a score in [0, 1]",
                    where=f"charge point {measure.position}",
                    why="without a score the guard cannot know what was spent, so nothing more is released",
                )

    def _first_overdrawn(self, charges: Sequence[Charge]) -> Charge | None:
        enforced = {rule.budget.id for rule in self._rules if rule.enforced}
        return next((line for line in charges if line.budget in enforced and line.z_after < 0), None)

    def _passed(self, node: Node) -> int:
        points = [last_point(rule, node.position) for rule in self._rules if rule.enforced]
        return min(points, default=node.position)


def behind(message: str) -> str:
    """A message of the policy as it stands behind what was shown of an answer."""
    return f"\n\n{message}"


def _order(due: tuple[str, Point]) -> tuple[str, int, bool]:
    return due[0], due[1].position, due[1].ended
