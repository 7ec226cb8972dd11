"""Scores are joined without ever hiding one that is not a score."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.combine import evaluate, pick
from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Expression

A, B = Expression("model", model="a"), Expression("model", model="b")


def number(value: float) -> Expression:
    return Expression("number", number=value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (A, 0.2),
        (number(0.7), 0.7),
        (Expression("max", (A, B)), 0.6),
        (Expression("min", (A, B)), 0.2),
        (Expression("mean", (A, B)), 0.4),
        (Expression("add", (A, B)), 0.8),
        (Expression("multiply", (A, number(3))), 0.6),
        (Expression("max", (Expression("multiply", (A, number(2))), number(0.1))), 0.4),
    ],
)
def test_an_expression_has_its_value(expression: Expression, value: float) -> None:
    assert evaluate(expression, {"a": 0.2, "b": 0.6}) == pytest.approx(value)


def test_values_beyond_one_are_clipped() -> None:
    assert evaluate(Expression("add", (A, B)), {"a": 0.9, "b": 0.9}) == 1.0
    assert evaluate(Expression("multiply", (A, number(100))), {"a": 0.5}) == 1.0


@pytest.mark.parametrize("op", ["max", "min", "mean", "add", "multiply"])
@pytest.mark.parametrize("first", [True, False])
def test_nan_is_never_passed_over(op: str, first: bool) -> None:
    scores = {"a": math.nan, "b": 0.0} if first else {"a": 0.0, "b": math.nan}
    assert math.isnan(evaluate(Expression(op, (A, B)), scores))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.inf, -math.inf])
def test_a_score_outside_its_range_counts_as_nan_and_is_not_clipped(wrong: float) -> None:
    assert math.isnan(evaluate(A, {"a": wrong}))


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_max_lies_above_mean_above_min(a: float, b: float) -> None:
    low, middle, high = (evaluate(Expression(op, (A, B)), {"a": a, "b": b}) for op in ("min", "mean", "max"))
    assert low <= middle + 1e-12
    assert middle <= high + 1e-12


def test_a_missing_score_is_a_failure_that_names_it() -> None:
    with pytest.raises(CostFailure) as raised:
        evaluate(Expression("max", (A, B)), {"a": 0.1})
    assert "there is no score of cost model 'b'" in str(raised.value)
    assert "scores are at hand of: a" in str(raised.value)


def test_pick_takes_the_highest_score_of_the_shared_hazards() -> None:
    assert pick(("hte", "ssh", "vcr"), (0.1, 0.9, 0.3), ("hte", "vcr")) == 0.3


def test_pick_without_a_shared_hazard_is_zero() -> None:
    assert pick(("hte",), (0.9,), ("vcr",)) == 0.0


def test_pick_never_passes_nan_over() -> None:
    assert math.isnan(pick(("hte", "ssh"), (0.4, math.nan), ("hte", "ssh")))
    assert pick(("hte", "ssh"), (0.4, math.nan), ("hte",)) == 0.4


def test_pick_demands_one_score_for_each_hazard() -> None:
    with pytest.raises(CostFailure, match="1 scores were given for 2 hazards"):
        pick(("hte", "ssh"), (0.4,), ("hte",))
