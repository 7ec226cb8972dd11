"""Budgets used up to the last digit: what fits on paper fits, in the gate, the search and every ledger alike."""

from __future__ import annotations

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from ig_guardrail.budget import BudgetRule, BudgetState, SafetyState, charge, remaining, settle
from ig_guardrail.costs.rewards.latent_critic import Horizon
from ig_guardrail.integrations.langchain.store_ledger import StoreLedger
from ig_guardrail.ledger import Ledger, LedgerEntry, Limit, MemoryLedger
from ig_guardrail.stream.gate import Gate
from ig_guardrail.stream.release import Hold
from ig_guardrail.types import Accepted, Budget, CostEstimate, Expression, Measure, Node

THOUSANDTHS = 1_000
scores = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=12)


def rule(threshold: float = 0.5, budget: float = 0.3, discount: float = 1.0, weight: float = 1.0) -> BudgetRule:
    spec = Budget(
        "b", ("hte",), Expression("model", model="m"), threshold, weight=weight, budget=budget, discount=discount
    )
    return BudgetRule(spec, "token", "event")


def gate_takes(one: BudgetRule, given_scores: list[float]) -> bool:
    """Whether a gate takes an answer of as many tokens, each charged with its score."""
    root = Node(0, 0, None, (), 0, "", (), 0)
    length = len(given_scores)
    node = Node(1, 0, root, tuple(range(length)), length, "x" * length, tuple(range(1, length + 1)), length)
    measures = [Measure("b", position, False, score) for position, score in enumerate(given_scores, start=1)]
    return isinstance(Gate(root, [one], Hold()).commit(node, measures), Accepted)


def search_keeps(one: BudgetRule, given_scores: list[float]) -> bool:
    """Whether a search sees every prefix within budget, by the numbers that drive hands it."""
    state = SafetyState()
    for position, score in enumerate(given_scores, start=1):
        state, _ = settle([one], state, [Measure("b", position, False, score)])
        if not CostEstimate({"b": remaining(one.budget, state.account(one.budget), position)}, 0.0, 0.0).within:
            return False
    return True


def ledger_takes(ledger: Ledger, limit: Limit, costs: list[float]) -> bool:
    return all(ledger.charge([LedgerEntry("a", 1, "b", cost)], {"b": limit}) for cost in costs if cost)


@pytest.mark.parametrize(
    ("threshold", "score", "budget", "times"),
    [(0.5, 0.6, 0.3, 3), (0.0, 0.1, 0.3, 3), (0.7, 0.8, 0.3, 3), (0.9, 1.0, 0.7, 7), (0.2, 0.9, 2.1, 3)],
)
def test_so_many_equal_costs_use_a_budget_up_and_one_more_is_too_much(
    threshold: float, score: float, budget: float, times: int
) -> None:
    one = rule(threshold, budget)
    assert gate_takes(one, [score] * times)
    assert search_keeps(one, [score] * times)
    assert not gate_takes(one, [score] * (times + 1))
    assert not search_keeps(one, [score] * (times + 1))


@given(scores, st.integers(0, 3000), st.sampled_from([1.0, 0.1, 2.5]))
def test_gate_search_and_ledgers_decide_as_paper_does(
    pairs: list[tuple[int, int]], granted: int, weight: float
) -> None:
    """All scores are of one threshold; the sum is taken in whole numbers."""
    threshold = min(low for low, _ in pairs)
    tenths = round(10 * weight)
    costs = [tenths * max(0, high - threshold) for _, high in pairs]
    fits = sum(costs) <= 10 * granted
    one = rule(threshold / THOUSANDTHS, granted / THOUSANDTHS, weight=weight)
    given_scores = [high / THOUSANDTHS for _, high in pairs]
    assert gate_takes(one, given_scores) == fits
    assert search_keeps(one, given_scores) == fits
    limit = Limit("b", granted / THOUSANDTHS)
    for ledger in (MemoryLedger(), StoreLedger(InMemoryStore())):
        assert ledger_takes(ledger, limit, [cost / 10 / THOUSANDTHS for cost in costs]) == fits


def test_a_budget_of_nothing_refuses_the_least_cost_there_is() -> None:
    one = rule(0.0, 0.0)
    assert gate_takes(one, [0.0] * 3)
    assert not gate_takes(one, [5e-324])
    assert not search_keeps(one, [5e-324])


@pytest.mark.parametrize("position", [1, 3_000, 71_500, 80_000, 1_000_000])
def test_a_discounted_budget_that_is_used_up_is_used_up_at_every_position(position: int) -> None:
    """gamma**position is 0 as a float from some 74,000 tokens on: nothing may be free behind it."""
    ban, spent = rule(0.0, 0.0, discount=0.99), rule(0.0, 0.5, discount=0.99)
    account, _ = charge(ban, BudgetState(), position, 0.25)
    assert remaining(ban.budget, account, position) < 0
    used, _ = charge(spent, BudgetState(), 1, 0.5)
    assert remaining(spent.budget, used, position) == 0
    over, _ = charge(spent, used, position, 0.25)
    assert remaining(spent.budget, over, position) < 0
    assert remaining(spent.budget, over, position + 100_000) < 0


@pytest.mark.parametrize("position", [71_500, 80_000, 1_000_000])
def test_what_a_discounted_budget_still_holds_far_on_is_a_number(position: int) -> None:
    one = rule(0.0, 0.5, discount=0.99)
    account, cost = charge(one, BudgetState(), position, 1.0)
    left = remaining(one.budget, account, position)
    assert (cost, account.spend >= 0) == (1.0, True)
    assert 0 < left < float("inf")
    assert Horizon(10, {"b": 0.5}).situation(position, {"b": left}).tolist() == [1.0, 1.0]


def test_what_a_program_sets_for_its_own_decimals_changes_nothing() -> None:
    one = rule(0.0, 0.333333333)
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact])):
        assert gate_takes(one, [0.111111111] * 3)
        assert not gate_takes(one, [0.111111111] * 3 + [1e-9])
        assert ledger_takes(MemoryLedger(), Limit("b", 0.333333333), [0.111111111] * 3)
