"""What one request has used so far, and when: the one thing about it that changes beside tree, gate and ledger."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ig_guardrail.budget import BudgetState, SafetyState
from ig_guardrail.drive.prompt_check import PromptCheck
from ig_guardrail.types import BlockRecord, Budget, Measure, Node, UnsafeDrafts


@dataclass(frozen=True, slots=True)
class DeniedDraft:
    """A draft that would have overdrawn a budget: the budget's books before it, and what it was charged for, in order.

    worst: the measure with the highest score
    """

    before: BudgetState
    measures: tuple[Measure, ...]

    @property
    def worst(self) -> Measure:
        return max(self.measures, key=lambda measure: measure.score)


@dataclass(slots=True)
class Usage:
    """Counts and moments (`time.monotonic()` seconds) of one request, and what its prompt check found.

    rounds, judged, denials  since the last commit; blocks keeps them for each commit
    over    by budget and hash of its tokens, the drafts that would have overdrawn it
    denied  hazards of the drafts since text was last shown that would have overdrawn a budget
    opening what was spent before the first token, where budgets are shared with earlier answers
    """

    prompt_check: PromptCheck = field(default_factory=PromptCheck)
    generated: int = 0
    first_generated: float | None = None
    first_released: float | None = None
    operations: int = 0
    value_calls: int = 0
    rounds: int = 0
    judged: set[int] = field(default_factory=set)
    denials: int = 0
    blocks: list[BlockRecord] = field(default_factory=list)
    over: dict[str, dict[int, DeniedDraft]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    opening: SafetyState = field(default_factory=SafetyState)
    _searched: float = 0.0
    _searching_since: float | None = None

    def note_generated(self, tokens: int) -> None:
        """Count tokens of drafts."""
        self.generated += tokens
        self.first_generated = self.first_generated or time.monotonic()

    def note_released(self) -> None:
        """Text was shown: what was denied before was replaced by it."""
        self.denied = set()
        self.first_released = self.first_released or time.monotonic()

    def note_commit(self, node: int, position: int) -> None:
        """A block was committed: keep its record, and count the next one from zero."""
        judged = self.judged | {node}
        self.blocks.append(BlockRecord(position, max(1, self.rounds), len(judged), self.denials))
        self.judged, self.rounds, self.denials = set(), 0, 0

    def note_unsafe(self, node: Node, measures: Sequence[Measure], budget: Budget, before: SafetyState) -> None:
        """A draft would have overdrawn a budget. The same words count once, whoever asked about them.

        It was for the hazards that its scores rest on; for all of the budget, where earlier answers have overdrawn it.

        before: what was spent before the draft
        """
        own = [measure for measure in measures if measure.budget == budget.id]
        if own:
            own.sort(key=lambda measure: (measure.position, measure.ended))
            draft = DeniedDraft(before.accounts.get(budget.id, BudgetState()), tuple(own))
            drafts, words = self.over.setdefault(budget.id, {}), hash(node.answer_ids())
            drafts[words] = max(draft, drafts.get(words, draft), key=lambda one: one.worst.score)
            self.note_denied([hazard for measure in own for hazard in measure.hazards] or budget.hazards)

    def note_denied(self, hazards: Iterable[str]) -> None:
        """Something was denied for these hazards."""
        self.denied.update(hazards)

    @property
    def unsafe(self) -> dict[str, UnsafeDrafts]:
        """By budget, the drafts that would have overdrawn it."""
        worst = {
            budget: max((one.worst for one in drafts.values()), key=lambda one: one.score)
            for budget, drafts in self.over.items()
        }
        return {budget: UnsafeDrafts(len(self.over[budget]), one.score, one.position) for budget, one in worst.items()}

    def note_search(self, found: bool) -> None:
        """Time counts as searched from the first draft that is denied to the next that is not."""
        if found and self._searching_since is not None:
            self._searched += time.monotonic() - self._searching_since
            self._searching_since = None
        elif not found and self._searching_since is None:
            self._searching_since = time.monotonic()

    def searched_longer_than(self, seconds: float) -> bool:
        """Whether the request is searching, and has searched for so long in all."""
        since = self._searching_since
        return since is not None and self._searched + time.monotonic() - since >= seconds
