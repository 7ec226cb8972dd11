"""What a ledger is, and the books of one answer in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from ig_guardrail.budget import Account, Rule, SafetyState
from ig_guardrail.types import Budget

CONVERSATION = "conversation"
TOLERANCE = 1e-9  # of sums of floats


@dataclass(frozen=True, slots=True)
class Limit:
    """How much one budget grants a conversation, and how spending is forgotten.

    decay   what a cost still counts for one turn later, as a share
    window  turns after which it counts nothing; 0: never
    """

    budget: str
    granted: float
    decay: float = 1.0
    window: int = 0

    def weight(self, age: int) -> float:
        """What a cost still counts after `age` turns."""
        return 0.0 if self.window and age >= self.window else self.decay**age


@dataclass(frozen=True, slots=True)
class Entry:
    """One charge: in which turn of which account, how much."""

    account: str
    turn: int
    budget: str
    cost: float


class Clerk(Protocol):
    """Runs calls on a thread of its own, so that no event loop waits for a disk."""

    def call(self, function: Callable[..., Any], *args: Any) -> Future[Any]: ...


class Ledger(Protocol):
    """Keeps charges by account. Safe to share between threads; `SQLiteLedger` between processes too."""

    def turn(self, account: str) -> int:
        """The number of the next turn, from 1."""
        ...

    def advance(self, account: str, turn: int) -> None:
        """Note that something was shown in a turn; the next one has a higher number."""
        ...

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        """What of a limit is spent, as it counts in that turn."""
        ...

    def charge(self, entries: Sequence[Entry], limits: Mapping[str, Limit]) -> bool:
        """Write all entries, each under its budget's limit; False, and nothing is written, if one would overdraw it."""
        ...


def shared(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The enforced rules whose budgets the answers of a conversation share."""
    return tuple(rule for rule in rules if rule.enforced and rule.budget.scope == CONVERSATION)


def account_name(policy: str, conversation: str) -> str:
    """Conversations under different policies do not mix."""
    return f"{policy}\n{conversation}"


def limit_of(budget: Budget) -> Limit:
    """A budget of scope `conversation` as a ledger's limit."""
    return Limit(budget.id, budget.budget, budget.decay, budget.window)


@dataclass(slots=True)
class Books:
    """One answer's turn in a ledger, kept by a clerk's thread.

    written  what was charged already, by budget
    shown    whether the turn is noted: one in which nothing is shown does not count
    """

    clerk: Clerk
    ledger: Ledger
    account: str
    turn: int
    limits: Mapping[str, Limit]
    before: Mapping[str, float]
    written: dict[str, float] = field(default_factory=dict)
    shown: bool = False

    def opening(self) -> SafetyState:
        """The safety state an answer begins with: what earlier turns have spent, of at most what was granted."""
        return SafetyState({budget: Account(spent) for budget, spent in self.before.items()})

    def settle(self, spend: Mapping[str, float]) -> bool:
        """Charge what an answer has spent more than is written; False if another one has spent it meanwhile.

        Called before text is shown.

        spend: by budget, as the gate counts it: earlier turns and this one together
        """
        owed = {name: spend[name] - self.before[name] - self.written.get(name, 0.0) for name in self.limits}
        entries = [Entry(self.account, self.turn, name, cost) for name, cost in owed.items() if cost > 0]
        if entries and not self.ledger.charge(entries, self.limits):
            return False
        if not self.shown:
            self.ledger.advance(self.account, self.turn)
            self.shown = True
        for entry in entries:
            self.written[entry.budget] = self.written.get(entry.budget, 0.0) + entry.cost
        return True


def open_books(clerk: Clerk, ledger: Ledger, policy: str, conversation: str, rules: Iterable[Rule]) -> Books:
    """The next turn of a conversation under a policy's rules."""
    limits = {rule.budget.id: limit_of(rule.budget) for rule in shared(rules)}
    account = account_name(policy, conversation)
    turn = ledger.turn(account)
    before = {name: _within(ledger.spent(account, turn, limit), limit) for name, limit in limits.items()}
    return Books(clerk, ledger, account, turn, limits, before)


def total(entries: Iterable[tuple[int, float]], turn: int, limit: Limit) -> float:
    """The sum of (turn, cost) as it counts in a turn."""
    return sum(cost * limit.weight(max(0, turn - own)) for own, cost in entries)


def lasts(entries: Iterable[Entry], limits: Mapping[str, Limit], spent: Callable[[Entry, Limit], float]) -> bool:
    """Whether no entry overdraws its budget. spent: what of its limit is spent before it."""
    return all(
        spent(entry, limits[entry.budget]) + entry.cost <= limits[entry.budget].granted + TOLERANCE for entry in entries
    )


def _within(spent: float, limit: Limit) -> float:
    """Without what rounding adds to a budget that is just used up."""
    return min(spent, limit.granted) if spent <= limit.granted + TOLERANCE else spent
