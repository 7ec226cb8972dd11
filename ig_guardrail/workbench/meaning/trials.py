"""Runs made-up scores through the gate and a ledger, as answers are: what a policy does is seen, not told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import localcontext

from ig_guardrail.budget import EXACT, BudgetRule, BudgetState, Point, SafetyState, exact, settle
from ig_guardrail.costs.combine import evaluate
from ig_guardrail.ledger import AccountKey, LedgerEntry, Limit, MemoryLedger, shared_rules
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.types import Denied, Measure, Node
from ig_guardrail.workbench.meaning.budgets import BudgetLine

TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Moment:
    """What sources score at a charge point; a source that is not named scores 0."""

    position: int
    scores: Mapping[str, float]
    ended: bool = False


@dataclass(frozen=True, slots=True)
class MadeUpAnswer:
    """An answer of so many tokens, and the charge points at which anything is scored.

    foreign: whether it is an earlier one that was given elsewhere: a conversation is brought along with it in it, and
             shared budgets are charged for it before the next answer
    """

    tokens: int
    moments: tuple[Moment, ...]
    conversation: int = 1
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What became of some answers, one after the other. All numbers are of the last that was looked at.

    denied  the budget that was overdrawn; None where everything was shown. By a foreign answer: whatever follows it is
            denied
    spent   by budget
    """

    answers: int
    denied: str | None
    position: int
    spent: Mapping[str, float]


def run(lines: Sequence[BudgetLine], answers: Sequence[MadeUpAnswer]) -> TrialOutcome:
    """Commit each answer to a gate of its own, charge point by charge point, until a budget is overdrawn."""
    ledger = MemoryLedger()
    rules = tuple(line.rule for line in lines)
    spent: Mapping[str, float] = {rule.budget.id: 0.0 for rule in rules}
    by_id = {line.id: line for line in lines}
    for count, answer in enumerate(answers, 1):
        scored = {Point(one.position, one.ended): one.scores for one in answer.moments}
        payer = AccountKey(str(answer.conversation), TENANT)
        charged = shared_rules(rules) if answer.foreign else rules
        gate = Gate(_node(None, 0), charged, Hold(), SafetyState(_opening(ledger, payer, charged)))
        for position, ended in _stops(answer):
            node = _node(gate.tip, position, ended)
            measures = [
                Measure(budget, point.position, point.ended, _score(by_id[budget], scored.get(point)))
                for budget, point in gate.due(node)
            ]
            reply = gate.commit(node, measures)
            if isinstance(reply, Denied):
                after, _ = settle(charged, gate.state_at(node), measures)
                spends = {**spent, **{rule.budget.id: after.account(rule.budget).spend for rule in charged}}
                return TrialOutcome(count, reply.budget or "", reply.position or position, spends)
        spent = {**spent, **gate.spend()}
        _charge(ledger, payer, charged, spent)
    return TrialOutcome(len(answers), None, answers[-1].tokens if answers else 0, spent)


def _stops(answer: MadeUpAnswer) -> Iterator[tuple[int, bool]]:
    """Where the answer is committed: at each moment, and at its end."""
    places = sorted({one.position for one in answer.moments if one.position < answer.tokens})
    yield from ((place, False) for place in places)
    yield answer.tokens, True


def _node(parent: Node | None, position: int, ended: bool = False) -> Node:
    ids = (0,) * (position - (parent.position if parent else 0))
    return Node(
        id=position,
        root=0,
        parent=parent,
        ids=ids,
        position=position,
        text="",
        offsets=(0,) * len(ids),
        visible=0,
        finish="stop" if ended else None,
    )


def _score(line: BudgetLine, scores: Mapping[str, float] | None) -> float:
    if scores is None and line.rule.budget.scope == "tool":  # no call ends here
        return 0.0
    return evaluate(line.cost, {name: (scores or {}).get(name, 0.0) for name in line.cost.models()})


def _opening(ledger: MemoryLedger, payer: AccountKey, rules: Sequence[BudgetRule]) -> dict[str, BudgetState]:
    return {
        rule.budget.id: BudgetState(exact(ledger.spent(account, ledger.turn(account), limit)))
        for rule, account, limit in _accounts(payer, rules)
    }


def _charge(ledger: MemoryLedger, payer: AccountKey, rules: Sequence[BudgetRule], spent: Mapping[str, float]) -> None:
    turns = {account: ledger.turn(account) for _, account, _ in _accounts(payer, rules)}
    for rule, account, limit in _accounts(payer, rules):
        with localcontext(EXACT):
            before = exact(ledger.spent(account, turns[account], limit))
            owed = exact(spent[rule.budget.id]) - before
        if owed > 0:
            entry = LedgerEntry(account, turns[account], rule.budget.id, owed)
            ledger.charge([entry], {rule.budget.id: limit})
    for account, turn in turns.items():
        ledger.advance(account, turn)


def _accounts(payer: AccountKey, rules: Sequence[BudgetRule]) -> list[tuple[BudgetRule, str, Limit]]:
    return [
        (
            rule,
            payer.account("policy", rule.budget.scope),
            Limit(rule.budget.id, rule.budget.budget, rule.budget.decay, rule.budget.window),
        )
        for rule in shared_rules(rules)
    ]
