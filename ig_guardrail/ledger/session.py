"""What a ledger is, and the books of one answer in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ig_guardrail.budget import EXACT, NOTHING, BudgetRule, BudgetState, SafetyState, affords, exact
from ig_guardrail.ledger.answers import answer_sha256, strangers
from ig_guardrail.types import AssistantMessage, Budget, Scope


@dataclass(frozen=True, slots=True)
class Limit:
    """How much one budget grants an account, and how spending is forgotten.

    decay   what a cost still counts for one turn later, as a share
    window  turns after which it counts nothing; 0: never
    """

    budget: str
    granted: float
    decay: float = 1.0
    window: int = 0

    @property
    def forgets(self) -> bool:
        """Whether a cost counts less in later turns."""
        return self.window > 0 or self.decay < 1


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One charge: in which turn of which account, how much."""

    account: str
    turn: int
    budget: str
    cost: float | Decimal


class Executor(Protocol):
    """Runs calls on a thread of its own, so that no event loop waits for a disk."""

    def call(self, function: Callable[..., Any], *args: Any) -> Future[Any]: ...


@runtime_checkable
class Ledger(Protocol):
    """Keeps charges by account. Safe to share between threads; in a file or database between processes too."""

    def turn(self, account: str) -> int:
        """The number of the next turn, from 1."""
        ...

    def advance(self, account: str, turn: int) -> None:
        """Note that something was shown in a turn; the next one has a higher number."""
        ...

    def spent(self, account: str, turn: int, limit: Limit) -> float:
        """What of a limit is spent, as it counts in that turn; costs are summed as they are written, in decimals."""
        ...

    def knows(self, account: str, answer: str) -> bool:
        """Whether an answer, named by its hash, was remembered."""
        ...

    def remember(self, account: str, answer: str) -> None:
        """Note an answer by its hash."""
        ...

    def charge(self, entries: Sequence[LedgerEntry], limits: Mapping[str, Limit]) -> bool:
        """Write all entries, each under its budget's limit; False, and nothing is written, if one would overdraw it.

        Where a limit forgets, an answer that very many others have overtaken may be refused as well (`rows.OVERTAKEN`).
        A limit that is changed counts from then on: what was already forgotten stays so.
        """
        ...


class AccountKey(NamedTuple):
    """Who an answer is charged to: a conversation, a tenant, or both. No tenant's accounts are another's."""

    conversation: str | None = None
    tenant: str | None = None

    def account(self, policy: str, scope: Scope) -> str:
        """The account of a scope. Those of different policies do not mix."""
        return json.dumps([policy, self.tenant] if scope == "tenant" else [policy, self.tenant, self.conversation])


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One budget in the books: its account, the answer's turn there, its limit, and what was spent before."""

    account: str
    turn: int
    limit: Limit
    before: Decimal


@dataclass(slots=True)
class LedgerSession:
    """One answer's turn in a ledger, kept by an executor's thread.

    turn     of the conversation, or of the tenant where no budget is a conversation's
    lines    by budget
    written  what was charged already, by budget
    said     what the ledger said was spent when it was last looked at, by budget; others may spend meanwhile
    shown    whether the turn is noted: one in which nothing is shown does not count
    lacking  the budgets of which too little was left, by their ids, where a charge was not taken
    """

    executor: Executor
    ledger: Ledger
    turn: int
    lines: Mapping[str, LedgerLine]
    said: Mapping[str, float]
    written: dict[str, Decimal] = field(default_factory=dict)
    shown: bool = False
    lacking: tuple[str, ...] = ()

    @property
    def accounts(self) -> dict[str, int]:
        """The answer's turn in each account that it is charged to."""
        return {line.account: line.turn for line in self.lines.values()}

    def new_to(self, said: Sequence[AssistantMessage]) -> dict[str, list[tuple[AssistantMessage, ...]]]:
        """By budget, what of an assistant's messages in a row its account does not know: runs of them."""
        new = {account: strangers(said, partial(self.ledger.knows, account)) for account in self.accounts}
        return {name: new[line.account] for name, line in self.lines.items()}

    def remember(self, *answers: AssistantMessage) -> None:
        """Note answers, so that they are not charged again when they are given back as earlier turns."""
        for account in self.accounts:
            for answer in answers:
                self.ledger.remember(account, answer_sha256(answer))

    def take_over(self, spend: Mapping[str, Decimal], answers: Sequence[AssistantMessage]) -> bool:
        """Charge what answers from elsewhere cost, by budget, and remember them; False if that is more than is left."""
        if not self._charge(spend):
            return False
        self.remember(*answers)
        self.lines = {name: replace(line, before=exact(self.said[name])) for name, line in self.lines.items()}
        return True

    def opening(self) -> SafetyState:
        """The safety state an answer begins with: what earlier turns have spent, of at most what was granted."""
        return SafetyState({budget: BudgetState(line.before) for budget, line in self.lines.items()})

    def settle(self, spend: Mapping[str, float]) -> bool:
        """Charge what an answer has spent more than is written; False if another one has spent it meanwhile.

        Called before text is shown.

        spend: by budget, as the gate counts it: earlier turns and this one together
        """
        with localcontext(EXACT):
            owed = {
                name: exact(spend[name]) - line.before - self.written.get(name, NOTHING)
                for name, line in self.lines.items()
            }
        if not self._charge(owed):
            return False
        if not self.shown:
            for account, turn in self.accounts.items():
                self.ledger.advance(account, turn)
            self.shown = True
        for name, cost in owed.items():
            self.written[name] = EXACT.add(self.written.get(name, NOTHING), max(NOTHING, cost))
        return True

    def _charge(self, owed: Mapping[str, Decimal]) -> bool:
        entries = [
            LedgerEntry(line.account, line.turn, name, owed[name])
            for name, line in self.lines.items()
            if owed[name] > 0
        ]
        if not entries:
            return True
        taken = self.ledger.charge(entries, {name: line.limit for name, line in self.lines.items()})
        self.said = _said(self.ledger, self.lines)
        if not taken:
            owing = [entry.budget for entry in entries]
            short = [name for name in owing if not self._left(name, exact(owed[name]))]
            self.lacking = tuple(short or owing)  # others may have given way meanwhile
        return taken

    def _left(self, budget: str, cost: Decimal) -> bool:
        return affords(self.lines[budget].limit.granted, EXACT.add(exact(self.said[budget]), cost))


def shared_rules(rules: Iterable[BudgetRule]) -> tuple[BudgetRule, ...]:
    """The enforced rules whose budgets several answers share."""
    return tuple(rule for rule in rules if rule.enforced and rule.budget.scope != "response")


def hazards_of(rules: Iterable[BudgetRule], budgets: Iterable[str]) -> tuple[str, ...]:
    """The hazards that budgets limit, by the ids of those."""
    named = set(budgets)
    return tuple(hazard for rule in rules if rule.budget.id in named for hazard in rule.budget.hazards)


def begin_session(
    executor: Executor, ledger: Ledger, policy: str, payer: AccountKey, rules: Iterable[BudgetRule]
) -> LedgerSession:
    """The next turn of a conversation, of a tenant, or of both, under a policy's rules."""
    lines = {
        rule.budget.id: _line(ledger, payer.account(policy, rule.budget.scope), rule.budget)
        for rule in shared_rules(rules)
    }
    own = [line.turn for line in lines.values() if line.account == payer.account(policy, "conversation")]
    turn = next(iter(own), max(line.turn for line in lines.values()))
    return LedgerSession(executor, ledger, turn, lines, {name: float(line.before) for name, line in lines.items()})


def _line(ledger: Ledger, account: str, budget: Budget) -> LedgerLine:
    limit, turn = Limit(budget.id, budget.budget, budget.decay, budget.window), ledger.turn(account)
    return LedgerLine(account, turn, limit, exact(ledger.spent(account, turn, limit)))


def _said(ledger: Ledger, lines: Mapping[str, LedgerLine]) -> dict[str, float]:
    return {name: ledger.spent(line.account, line.turn, line.limit) for name, line in lines.items()}
