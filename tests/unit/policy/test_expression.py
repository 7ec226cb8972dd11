"""Cost expressions: what parses, to what, and where a fault lies."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ig_guardrail.policy.expression import DEEPEST, LONGEST, MOST_PARTS, NotAnExpression, parse, reread, written
from ig_guardrail.types import Expression

A, B = Expression("model", model="a"), Expression("model", model="b")


def number(value: float) -> Expression:
    return Expression("number", number=value)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("a", A),
        (" ( a ) ", A),
        ("max(a, b)", Expression("max", (A, B))),
        ("min(a,mean(a,b))", Expression("min", (A, Expression("mean", (A, B))))),
        ("a + b", Expression("add", (A, B))),
        ("a + 2 * b", Expression("add", (A, Expression("multiply", (number(2), B))))),
        ("(a + b) * .5", Expression("multiply", (Expression("add", (A, B)), number(0.5)))),
        ("a + b + 0.1", Expression("add", (Expression("add", (A, B)), number(0.1)))),
        ("2 * 3 * a", Expression("multiply", (Expression("multiply", (number(2), number(3))), A))),
    ],
)
def test_expressions_parse_as_they_are_read(text: str, expression: Expression) -> None:
    assert parse(text).expression == expression


@pytest.mark.parametrize(
    ("text", "offset", "problem"),
    [
        ("", 0, "a part is missing here"),
        ("max(a,", 6, "a part is missing here"),
        ("max a", 0, "`max` needs `(` after it"),
        ("max()", 4, "`)` cannot stand here"),
        ("(a", 0, "this `(` is never closed"),
        ("a)", 1, "`)` cannot stand here"),
        ("a b", 2, "`b` cannot follow what stands before it"),
        ("a, b", 1, "`,` cannot stand here"),
        ("a / 2", 2, "there is no `/`"),
        ("-a", 0, "there is no `-`"),
        ("a * b", 2, "`*` needs a number on one side"),
        ("2 * (a + 1) * b", 12, "`*` needs a number on one side"),
        ("a ^ b", 2, "`^` is not part of an expression"),
        ("avg(a)", 0, "there is no function `avg`"),
        ("2", 0, "names no cost model"),
        ("a * 5000", 4, "numbers go up to 1000"),
        ("__import__('os')", 11, "`'` is not part of an expression"),
    ],
)
def test_a_fault_has_its_character(text: str, offset: int, problem: str) -> None:
    with pytest.raises(NotAnExpression, match=re.escape(problem)) as caught:
        parse(text)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(" * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1), f"an expression has at most {DEEPEST} levels of brackets"),
        ("+".join("a" * (MOST_PARTS + 1)), f"an expression has at most {MOST_PARTS} parts"),
        ("a" * (LONGEST + 1), f"an expression has at most {LONGEST} characters"),
        ("(" * LONGEST, f"an expression has at most {DEEPEST} levels of brackets"),
    ],
)
def test_expressions_have_limits(text: str, problem: str) -> None:
    with pytest.raises(NotAnExpression, match=problem):
        parse(text)


def test_names_come_with_their_places() -> None:
    assert parse("max(a, b) + 2 * a").names == (("a", 4), ("b", 7), ("a", 16))


SUMS = st.recursive(
    st.sampled_from(["a", "b", "long-name_2"]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["max", "min", "mean"]), st.lists(inner, min_size=1, max_size=3)).map(
            lambda call: f"{call[0]}({', '.join(call[1])})"
        ),
        st.tuples(inner, inner).map(" + ".join),
        st.tuples(inner, inner).map(lambda pair: f"{pair[0]} + ({pair[1]})"),
        inner.map(lambda one: f"0.25 * ({one})"),
        inner.map(lambda one: f"({one}) * 2"),
    ),
    max_leaves=8,
)


@given(SUMS)
def test_the_one_spelling_parses_back_to_the_same_expression(text: str) -> None:
    expression = parsed(text)
    assume(expression is not None)
    assert expression is not None
    assert reread(written(expression)) == expression


AT_A_LIMIT = {
    "a number below 0.0001": "a + 0.00001 * b",
    "the smallest number there is": f"a + 0.{'0' * 323}5 * b",
    "brackets around each product": "+".join(f"{'a' * 11}*.5" for _ in range(MOST_PARTS // 2)),
    "brackets within brackets": f"a+{'(a+' * (DEEPEST - 1)}2*a{')' * (DEEPEST - 1)}",
    "spaces": f"max({','.join(['a' * 18] * 26)})",
}


@pytest.mark.parametrize("text", AT_A_LIMIT.values(), ids=AT_A_LIMIT)
def test_what_is_allowed_has_a_normal_form_that_can_be_read(text: str) -> None:
    expression = parse(text).expression
    assert reread(written(expression)) == expression


@given(st.text(alphabet="ab(),+*-. 1max\n\t'é", max_size=60))
def test_any_text_parses_or_is_faulted_within_itself(text: str) -> None:
    fault = refused(text)
    assert fault is None or (0 <= fault.offset <= len(text) and fault.problem and fault.advice)


def parsed(text: str) -> Expression | None:
    return None if refused(text) else parse(text).expression


def refused(text: str) -> NotAnExpression | None:
    try:
        parse(text)
    except NotAnExpression as fault:
        return fault
    return None
