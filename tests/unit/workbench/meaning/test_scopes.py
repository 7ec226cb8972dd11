"""Budgets that answers share, discounts, several budgets, patterns: verdicts that are known, and examples that run."""

from __future__ import annotations

from typing import Any

import pytest

from ig_guardrail.workbench.meaning.comparing import ASSUMED, compare
from ig_guardrail.workbench.meaning.sources import open_books
from ig_guardrail.workbench.meaning.trials import run
from tests.unit.workbench.policies import MODELS, policy

CASES: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("same", [{"budget": 0.2}], [{"budget": 0.4, "weight": 2}]),
    ("same", [{"budget": 0.5}], [{"budget": 0.7, "every": 8}]),  # neither can be overdrawn
    ("same", [{"threshold": 0.3, "budget": 0.2}], [{"threshold": 0.5}]),
    ("same", [{}, {"threshold": 0.7, "budget": 0.1}], [{}]),
    ("stricter", [{}], [{"every": 8}]),
    ("incomparable", [{"every": 16}], [{"every": 24}]),
    ("stricter", [{"budget": 0.1}], [{"budget": 0.1, "accumulate": "sum"}]),
    ("looser", [{"budget": 0.1, "accumulate": "sum"}], [{"budget": 0.1, "accumulate": "sum", "discount": 0.99}]),
    ("incomparable", [{"threshold": 0.4, "budget": 0.3}], [{"threshold": 0.6, "budget": 0.2, "accumulate": "sum"}]),
    ("stricter", [{"budget": 0.2}], [{"budget": 0.2, "scope": "conversation"}]),
    ("stricter", [{"budget": 0.2, "scope": "conversation"}], [{"budget": 0.2, "scope": "tenant"}]),
    ("looser", [{"budget": 0.2, "scope": "conversation"}], [{"budget": 0.2, "scope": "conversation", "decay": 0.5}]),
    ("looser", [{"budget": 0.2, "scope": "conversation"}], [{"budget": 0.2, "scope": "conversation", "window": 2}]),
    ("same", [{"scope": "conversation"}], [{"scope": "tenant"}]),  # a ban is a ban
    ("stricter", [{}], [{"scope": "conversation"}]),  # which is charged for what a conversation brings along
    ("stricter", [{"cost": "p", "budget": 0.2}], [{"cost": "p", "budget": 0.2, "scope": "tenant"}]),
    ("incomparable", [{}], [{"budget": 0.2, "scope": "conversation"}]),
    (
        "stricter",
        [{}, {"threshold": 0.4, "budget": 0.3, "scope": "conversation"}],
        [{"scope": "tenant"}, {"threshold": 0.4, "budget": 0.3, "scope": "conversation"}],
    ),
    ("looser", [{}], [{"mode": "shadow"}]),
    ("stricter", [{"cost": "a"}], [{"cost": "max(a, b)"}]),
    ("same", [{"cost": "max(a, b)"}], [{"cost": "a"}, {"cost": "b"}]),
    ("looser", [{"cost": "a + b"}], [{"cost": "max(a, b)"}]),
    ("same", [{"cost": "mean(a, b)", "threshold": 0.5}], [{"cost": "0.5 * a + 0.5 * b", "threshold": 0.5}]),
    ("same", [{"cost": "p"}], [{"cost": "p", "every": 8, "threshold": 0.9}]),
    ("stricter", [{"cost": "p", "budget": 1}], [{"cost": "p", "budget": 1, "threshold": 0.4}]),
    ("same", [{"cost": "p", "budget": 1, "threshold": 0.0}], [{"cost": "p", "budget": 1.4, "threshold": 0}]),
    ("looser", [{"scope": "tool", "tool": "pay*", "budget": 0.2}], [{"scope": "tool", "tool": "pay*", "budget": 0.4}]),
]


@pytest.mark.parametrize(("verdict", "a", "b"), CASES)
def test_known_pairs(verdict: str, a: list[dict[str, Any]], b: list[dict[str, Any]]) -> None:
    found = compare(policy(a), policy(b))
    assert found.verdict == verdict, found
    turned = {"stricter": "looser", "looser": "stricter"}.get(verdict, verdict)
    assert compare(policy(b), policy(a)).verdict == turned


@pytest.mark.parametrize(("verdict", "a", "b"), CASES)
def test_examples_decide_differently_when_they_are_run_again(verdict: str, a: Any, b: Any) -> None:
    pair = policy(a), policy(b)
    found = compare(*pair)
    sides = open_books(pair, None, ASSUMED[0]).sides
    for example, shows, denies in ((found.stricter, *sides), (found.looser, *sides[::-1])):
        if example is not None:
            assert run(shows, example.answers).denied is None
            assert run(denies, example.answers).denied is not None


def test_another_pattern_is_stricter_and_another_head_cannot_be_compared() -> None:
    more = {**MODELS, "p": {**MODELS["p"], "patterns": ["foo", {"name": "bar", "pattern": "bar"}]}}
    other = {**MODELS, "a": {**MODELS["a"], "model": "screen"}}
    assert compare(policy([{"cost": "p"}]), policy([{"cost": "p"}], more)).verdict == "stricter"
    found = compare(policy([{}]), policy([{}], other))
    assert found.verdict == "not comparable"
    assert "not comparable" in found.why


def test_a_cost_model_by_another_name_is_the_same() -> None:
    renamed = {"tone" if name == "a" else name: one for name, one in MODELS.items()}
    assert compare(policy([{}]), policy([{"cost": "tone"}], renamed)).verdict == "same"


def test_what_the_program_declares_is_not_guessed() -> None:
    models = {**MODELS, "mine": {"kind": "provided", "hazards": ["hte"]}}
    several = [{"cost": "mine", "budget": 0.2}], [{"cost": "mine", "budget": 0.2, "accumulate": "sum"}]
    found = compare(*(policy(one, models) for one in several))
    assert found.verdict == "not decided"  # for events the two are the same
    assert compare(*(policy([{"cost": "mine", "threshold": at}], models) for at in (0.5, 0.4))).verdict == "stricter"
