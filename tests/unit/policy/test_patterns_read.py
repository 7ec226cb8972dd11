"""What the checks of patterns and budgets rest on, held against RE2 and against the books themselves."""

from __future__ import annotations

from decimal import Decimal

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.budget import BudgetRule, BudgetState, charge, charge_points
from ig_guardrail.policy.tools import includes
from ig_guardrail.policy.validation.cautions.borders import EVERYWHERE, Walk
from ig_guardrail.policy.validation.cautions.budgets import LONGEST_ANSWER, charges
from ig_guardrail.policy.validation.cautions.patterns import contains
from ig_guardrail.policy.validation.patterns import matches_nothing, reason_against
from ig_guardrail.policy.validation.regex import parsed, spread
from ig_guardrail.types import Budget, Expression
from tests.examples import examples

ATOMS = [
    "a", "b", "Z", "_", " ", r"\.", ".", r"\d", r"\w", r"\W", "[a-c]", "[^a]", r"[^\W]", r"\pL", r"[^\pL]", r"\b",
    r"\B", "^", "$", "(?m:^)", "(?i:a)", "[[:alpha:]]", r"\x41", r"\Qa+\E", "é", r"\n", "-", r"\x{e9}", "[]a]",
    r"[\]^-]",
]  # fmt: skip
COUNTS = ["*", "+", "?", "{2}", "{1,3}", "{2,}", "+?"]
PATTERNS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(COUNTS)).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=6,
)
TEXTS = st.text(alphabet="ab Z_1.\né-+A", max_size=9)


@settings(max_examples=examples(300), deadline=None)
@given(PATTERNS, st.lists(TEXTS, min_size=5, max_size=10))
def test_real_matches_are_as_wide_as_the_tree_says_and_never_of_a_dead_pattern(pattern: str, texts: list[str]) -> None:
    if reason_against(pattern) is not None:
        return
    found = [match for match in map(re2.compile(pattern).search, texts) if match is not None]
    least, most = spread(pattern)
    assert all(least <= len(match.group()) for match in found)
    assert most is None or all(len(match.group()) <= most for match in found)
    assert not found or Walk().after(parsed(pattern), EVERYWHERE)


@settings(max_examples=examples(300), deadline=None)
@given(PATTERNS, PATTERNS, st.lists(TEXTS, min_size=5, max_size=10))
def test_a_pattern_that_holds_another_matches_only_where_that_one_does(one: str, other: str, texts: list[str]) -> None:
    if any(reason_against(each) is not None or matches_nothing(each) for each in (one, other)):
        return
    if contains(one, other):
        for text in texts:
            assert not re2.compile(one).search(text) or re2.compile(other).search(text)


@pytest.mark.parametrize(("every", "discount"), [(16, 1.0), (7, 0.99), (64, 0.999), (4096, 1.0), (1, 0.995)])
def test_what_charge_points_count_together_is_what_the_books_say(every: int, discount: float) -> None:
    budget = Budget("b", ("hte",), Expression("model", model="m"), 0.0, budget=1e6, discount=discount, every=every)
    rule, books = BudgetRule(budget, "block", "event"), BudgetState()
    for point in charge_points(rule, 0, LONGEST_ANSWER, ended=True):
        books, _ = charge(rule, books, point.position, 1.0)
    assert abs(books.total - charges(every, discount)) < Decimal("1e-20")


@pytest.mark.parametrize(
    ("broad", "narrow", "included"),
    [
        ("*", "pay", True), ("pay", "*", False), ("p*", "pay", True), ("p*y", "p*a*y", True), ("p*a*y", "p*y", False),
        ("*a*", "bab", True), ("a*a", "a", False), ("pay*", "pay", True), ("pay", "pay", True), ("pay", "paid", False),
    ],
)  # fmt: skip
def test_names_of_tools_include_others(broad: str, narrow: str, included: bool) -> None:
    assert includes(broad, narrow) == included
