"""What docs/guarantee.md says, on trees in which everything can be enumerated."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ig_guardrail.budget import BudgetRule, BudgetState, charge, remaining
from ig_guardrail.types import Budget, Expression
from tests.examples import examples

ACTIONS = "ab"


@dataclass(frozen=True)
class Tree:
    """All texts of `depth` letters: a cost for every prefix, a task cost for every whole text, a budget, a discount."""

    depth: int
    cost: dict[str, float]
    task: dict[str, float]
    budget: float
    gamma: float

    def texts(self) -> list[str]:
        return ["".join(word) for word in itertools.product(ACTIONS, repeat=self.depth)]

    def left(self, text: str) -> float:
        """z after a text, by the recursion z' = (z - c) / gamma."""
        z = self.budget
        for n in range(1, len(text) + 1):
            z = (z - self.cost[text[:n]]) / self.gamma
        return z

    def safe(self, text: str) -> bool:
        """Whether no prefix is over budget."""
        return all(self.left(text[:n]) >= -1e-12 for n in range(1, len(text) + 1))

    def reshaped(self, text: str, penalty: float) -> float:
        """The discounted cost of a whole path: the task's at its end while z >= 0, the penalty once z < 0."""
        for n in range(1, self.depth + 1):
            if self.left(text[:n]) < -1e-12:
                return penalty * self.gamma**n
        return self.gamma**self.depth * self.task[text]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    depth = draw(st.integers(1, 4))
    inner = ["".join(word) for n in range(1, depth + 1) for word in itertools.product(ACTIONS, repeat=n)]
    whole = [text for text in inner if len(text) == depth]
    cost = {text: draw(st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0])) for text in inner}
    task = {text: draw(st.floats(0, 1)) for text in whole}
    return Tree(depth, cost, task, draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.sampled_from([0.9, 0.99, 1.0])))


def value(tree: Tree, text: str, z: float, penalty: float) -> float:
    """The Bellman equation on (text, z): one step of discount, then the best continuation."""
    if z < -1e-12:
        return penalty
    if len(text) == tree.depth:
        return tree.task[text]
    steps = ((text + letter, (z - tree.cost[text + letter]) / tree.gamma) for letter in ACTIONS)
    return tree.gamma * min(value(tree, after, left, penalty) for after, left in steps)


@given(trees(), st.floats(0, 5))
def test_the_bellman_equation_on_text_and_remaining_budget_gives_the_best_path(tree: Tree, penalty: float) -> None:
    best = min(tree.reshaped(text, penalty) for text in tree.texts())
    assert value(tree, "", tree.budget, penalty) == pytest.approx(best, abs=1e-9)


@given(trees())
def test_the_recursion_is_the_discounted_sum(tree: Tree) -> None:
    for text in tree.texts():
        spent = math.fsum(tree.gamma ** (n - 1) * tree.cost[text[:n]] for n in range(1, len(text) + 1))
        assert tree.gamma ** len(text) * tree.left(text) == pytest.approx(tree.budget - spent, abs=1e-9)


@given(trees())
def test_the_package_keeps_the_same_books(tree: Tree) -> None:
    """Scores are costs here: threshold 0, weight 1, each charged as an event."""
    assume(tree.gamma >= 0.99)
    budget = Budget("b", ("hte",), Expression("model", model="m"), 0.0, budget=tree.budget, discount=tree.gamma)
    for text in tree.texts():
        account = BudgetState()
        for n in range(1, len(text) + 1):
            account, _ = charge(BudgetRule(budget, "token", "event"), account, n, tree.cost[text[:n]])
            assert remaining(budget, account, n) == pytest.approx(tree.left(text[:n]), abs=1e-9)


@settings(max_examples=examples(300))
@given(trees())
def test_a_penalty_above_the_highest_cost_over_the_last_discount_makes_every_best_path_safe(tree: Tree) -> None:
    assume(any(tree.safe(text) for text in tree.texts()))
    penalty = 1.0 / tree.gamma**tree.depth + 1e-6
    best = min(tree.reshaped(text, penalty) for text in tree.texts())
    optimal = [text for text in tree.texts() if tree.reshaped(text, penalty) <= best + 1e-12]
    assert all(tree.safe(text) for text in optimal)


def test_a_smaller_penalty_may_make_the_best_path_unsafe() -> None:
    tree = Tree(1, {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}, budget=0.0, gamma=1.0)
    assert min(tree.texts(), key=lambda text: tree.reshaped(text, 0.5)) == "a"
    assert min(tree.texts(), key=lambda text: tree.reshaped(text, 1.0 + 1e-6)) == "b"


@given(trees())
def test_costs_below_zero_would_let_a_prefix_earn_what_a_later_one_spends(tree: Tree) -> None:
    """So they are clipped: with costs of 0 and more, what is over budget stays over."""
    for text in tree.texts():
        over = [n for n in range(1, len(text) + 1) if tree.left(text[:n]) < -1e-12]
        assert over == list(range(over[0], len(text) + 1)) if over else True


def test_a_latent_map_that_merges_prefixes_of_different_cost_hides_what_was_spent() -> None:
    """Two prefixes, one latent state, one remaining budget on average: the best latent policy is unsafe on one."""
    tree = Tree(2, {"a": 1.0, "b": 0.0, "aa": 1.0, "ab": 0.0, "ba": 1.0, "bb": 0.0},
                {"aa": 0.0, "ab": 1.0, "ba": 0.0, "bb": 1.0}, budget=1.0, gamma=1.0)  # fmt: skip
    merged_left = (tree.left("a") + tree.left("b")) / 2
    chosen = "a" if merged_left >= 0.5 else "b"  # it cannot tell the prefixes apart, so it does the same after both
    assert tree.safe("b" + chosen) != tree.safe("a" + chosen)
    told_apart = {first: ("a" if tree.left(first) >= 1.0 else "b") for first in ACTIONS}
    assert all(tree.safe(first + then) for first, then in told_apart.items())


@given(trees(), st.integers(0, 15))
def test_a_wrong_critic_makes_finite_search_unsafe_and_the_gate_does_not_care(tree: Tree, whim: int) -> None:
    """A search that keeps what its critic likes may keep an unsafe path; asking z on every prefix never does."""
    liked = tree.texts()[whim % len(tree.texts())]
    released = ""
    for letter in liked:
        if tree.left(released + letter) < -1e-12:
            break
        released += letter
    assert tree.safe(released)
    assert (released == liked) == tree.safe(liked)
