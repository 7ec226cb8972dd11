"""Ranges of cost expressions: exact ends, reached, and never left."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.costs.combine import evaluate
from ig_guardrail.policy.expression import parse
from ig_guardrail.policy.ranges import SCORES, SILENT, Interval, range_of
from ig_guardrail.types import Expression

NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("a", "0", "1"),
        ("max(a, b)", "0", "1"),
        ("min(a, 0.3)", "0", "0.3"),
        ("mean(a, b, 0.4)", "2/15", "4/5"),
        ("0.1 + 0.2 * a", "0.1", "0.3"),
        ("2 * a + b", "0", "3"),
        ("max(a, silent)", "0", "1"),
        ("min(a, silent)", "0", "0"),
        ("0.5 * silent + 0.1", "0.1", "0.1"),
    ],
)
def test_ends_of_a_range_are_those_of_its_parts(text: str, low: str, high: str) -> None:
    found = range_of(parse(text).expression, {"a": SCORES, "b": SCORES, "silent": SILENT})
    assert found == Interval(Fraction(low), Fraction(high))


def test_a_score_is_cut_to_0_and_1() -> None:
    assert range_of(parse("2 * a + 0.5").expression, {"a": SCORES}).score == Interval(Fraction(1, 2), Fraction(1))


def expressions() -> st.SearchStrategy[Expression]:
    leaf = st.one_of(
        st.sampled_from(NAMES).map(lambda name: Expression("model", model=name)),
        st.sampled_from((0.0, 0.1, 0.3, 0.5, 2.0)).map(lambda number: Expression("number", number=number)),
    )
    several = ("max", "min", "mean", "add", "multiply")
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            Expression, st.sampled_from(several), st.lists(inner, min_size=1, max_size=3).map(tuple)
        ),
        max_leaves=6,
    )


@given(expressions(), st.lists(st.sampled_from((0.0, 0.1, 0.25, 0.7, 1.0)), min_size=3, max_size=3))
def test_no_score_lies_outside_the_range(expression: Expression, scores: list[float]) -> None:
    found = range_of(expression, dict.fromkeys(NAMES, SCORES)).score
    value = Fraction(evaluate(expression, dict(zip(NAMES, scores, strict=True))))
    nearly = Fraction(1, 10**12)
    assert found.low - nearly <= value <= found.high + nearly
    assert abs(Fraction(evaluate(expression, dict.fromkeys(NAMES, 1.0))) - found.high) <= nearly
