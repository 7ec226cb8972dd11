"""The z arithmetic against its closed form, and the charge points against how an answer is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.budget import (
    BudgetRule,
    BudgetState,
    Point,
    SafetyState,
    charge,
    charge_points,
    last_point,
    remaining,
    settle,
)
from ig_guardrail.types import Budget, Expression, Measure

MODEL = Expression("model", model="m")
scores = st.lists(st.floats(0, 1), max_size=40)
rates = st.sampled_from([1.0, 0.999, 0.99])


def rule(
    threshold: float = 0.5,
    budget: float = 0.0,
    every: int = 16,
    discount: float = 1.0,
    granularity: str = "block",
    reading: str = "level",
    **keys: object,
) -> BudgetRule:
    spec = Budget("b", ("hte",), MODEL, threshold, budget=budget, every=every, discount=discount, **keys)  # type: ignore[arg-type]
    return BudgetRule(spec, granularity, reading)  # type: ignore[arg-type]


@given(scores, rates, st.floats(0, 5), st.sampled_from(["max", "sum"]))
def test_z_recursion_equals_the_closed_form(given_scores: list[float], gamma: float, d: float, how: str) -> None:
    one = rule(budget=d, discount=gamma, granularity="token", accumulate=how)
    account, z = BudgetState(), d
    for position, score in enumerate(given_scores, start=1):
        account, cost = charge(one, account, position, score)
        z = (z - cost) / gamma
        assert remaining(one.budget, account, position) == pytest.approx(z, abs=1e-9)


@given(scores, st.sampled_from(["max", "sum"]), st.sampled_from(["level", "event"]))
def test_remaining_budget_never_rises_without_discount(given_scores: list[float], how: str, reading: str) -> None:
    one = rule(budget=1.0, granularity="token", reading=reading, accumulate=how)
    account = BudgetState()
    left = [remaining(one.budget, account, 0)]
    for position, score in enumerate(given_scores, start=1):
        account, cost = charge(one, account, position, score)
        assert cost >= 0
        left.append(remaining(one.budget, account, position))
    assert left == sorted(left, reverse=True)


@given(scores)
def test_max_charges_the_highest_excess_once_and_sum_charges_each(given_scores: list[float]) -> None:
    def spend(how: str, reading: str = "level") -> float:
        account = BudgetState()
        for position, score in enumerate(given_scores, start=1):
            account, _ = charge(rule(reading=reading, accumulate=how), account, position, score)
        return account.spend

    excesses = [max(0.0, score - 0.5) for score in given_scores]
    assert spend("max") == pytest.approx(max(excesses, default=0.0))
    assert spend("sum") == pytest.approx(sum(excesses))
    assert spend("max", reading="event") == pytest.approx(sum(excesses))


def test_zero_remaining_is_within_budget_and_any_cost_is_over_a_zero_budget() -> None:
    exact = rule(threshold=0.0, budget=0.25)
    account, _ = charge(exact, BudgetState(), 16, 0.25)
    assert remaining(exact.budget, account, 16) == 0
    nothing = rule(threshold=0.5, budget=0.0)
    account, _ = charge(nothing, BudgetState(), 16, 0.5 + 1e-9)
    assert remaining(nothing.budget, account, 16) < 0


def test_a_violation_that_recovers_is_still_charged() -> None:
    one = rule(granularity="token")
    account, _ = charge(one, BudgetState(), 1, 0.9)
    account, cost = charge(one, account, 2, 0.1)
    assert cost == 0
    assert account.spend == pytest.approx(0.4)


@given(st.integers(1, 80), st.lists(st.integers(1, 9), min_size=1, max_size=80), st.integers(1, 20))
def test_charge_points_do_not_depend_on_how_an_answer_is_cut(length: int, cuts: list[int], every: int) -> None:
    for granularity in ("token", "block", "final"):
        one = rule(every=every, granularity=granularity)
        whole = charge_points(one, 0, length, ended=True)
        pieces: list[Point] = []
        start = 0
        for size in cuts:
            stop = min(length, start + size)
            pieces += charge_points(one, start, stop, ended=False)
            start = stop
        pieces += charge_points(one, start, length, ended=True)
        assert tuple(pieces) == whole


def test_an_answer_has_an_end_point_even_where_an_ordinary_point_falls_on_it() -> None:
    assert charge_points(rule(every=4), 0, 8, ended=True) == (Point(4), Point(8), Point(8, ended=True))
    assert charge_points(rule(every=4), 8, 8, ended=True) == (Point(8, ended=True),)
    assert charge_points(rule(every=4), 0, 0, ended=True) == ()


def test_text_of_a_final_cost_has_no_point_before_the_end() -> None:
    assert charge_points(rule(granularity="final"), 0, 99, ended=False) == ()
    assert last_point(rule(granularity="final"), 99) == 0
    assert last_point(rule(every=16), 40) == 32
    assert last_point(rule(granularity="token"), 40) == 40


def test_settling_keeps_one_line_for_each_measure() -> None:
    one = rule(budget=1.0)
    state, lines = settle([one], SafetyState(), [Measure("b", 16, False, 0.75, {"m": 0.75})])
    (line,) = lines
    assert (line.cost, line.z_before, line.z_after, line.raw) == (0.25, 1.0, 0.75, {"m": 0.75})
    assert state.account(one.budget).spend == 0.25
