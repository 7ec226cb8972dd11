"""Budgets compared by meaning, against brute force over a grid of scores through the tracker itself."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ig_guardrail.budget import BudgetRule, SafetyState, charge_points, settle
from ig_guardrail.costs.combine import evaluate, pick
from ig_guardrail.types import CompiledPolicy, Measure
from ig_guardrail.workbench.meaning.comparing import Comparison, compare
from ig_guardrail.workbench.meaning.differences import differences
from ig_guardrail.workbench.meaning.wording import as_text
from tests.unit.workbench.policies import MODELS, policy

GRID = (0.0, 0.45, 0.6, 0.75, 1.0)
Vector = Mapping[str, float]
Trace = tuple[tuple[int, Vector], ...]  # positions, and what each cost model scores there; then the answer ends


def denies(made: CompiledPolicy, trace: Trace, ended_at: int) -> bool:
    """Whether an enforced budget is overdrawn; by the tracker, and by nothing of the workbench."""
    scores = dict(trace)
    state = SafetyState()
    for budget in made.budgets:
        if budget.mode != "enforce":
            continue
        events = set(budget.cost.models()) == {"p"}
        rule = BudgetRule(budget, "block", "event" if events else "level")
        measures = []
        for point in charge_points(rule, 0, ended_at, True):
            vector = scores.get(point.position, {}) if point.position < ended_at else {}
            raw = {
                name: pick(
                    MODELS[name]["hazards"], [vector.get(name, 0.0)] * len(MODELS[name]["hazards"]), budget.hazards
                )
                for name in budget.cost.models()
            }
            measures.append(Measure(budget.id, point.position, point.ended, evaluate(budget.cost, raw)))
        state, charges = settle([rule], state, measures)
        if any(line.z_after < 0 for line in charges):
            return True
    return False


def traces(names: Sequence[str], step: int) -> Iterator[Trace]:
    grids = [(0.0, 1.0) if name == "p" else GRID for name in names]
    vectors = [dict(zip(names, values, strict=True)) for values in itertools.product(*grids)]
    for vector in vectors:
        yield ((step, vector),)
        for count in (2, 3, 5):
            yield tuple((step * place, vector) for place in range(1, count + 1))
    for one, other in itertools.islice(itertools.permutations(vectors, 2), 0, None, max(1, len(vectors) // 5)):
        yield ((step, one), (2 * step, other))


EXPRESSIONS = (
    "a",
    "a",
    "b",
    "p",
    "max(a, b)",
    "mean(a, b)",
    "min(a, b)",
    "0.5 * a + 0.5 * b",
    "max(a, p)",
    "2 * a",
    "0.8 * b",
)


def budgets() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "cost": st.sampled_from(EXPRESSIONS),
            "threshold": st.sampled_from((0.3, 0.5, 0.5, 0.7)),
            "budget": st.sampled_from((0, 0, 0.05, 0.1, 0.3, 0.5)),
        },
        optional={
            "weight": st.sampled_from((0.5, 2)),
            "accumulate": st.just("sum"),
            "mode": st.just("shadow"),
            "every": st.just(8),
            "discount": st.just(0.99),
            "hazards": st.sampled_from((["hte"], ["ncr"])),
        },
    )


def made(several: Sequence[dict[str, Any]]) -> CompiledPolicy:
    return policy([_with_hazards(one) for one in several])


def _with_hazards(one: dict[str, Any]) -> dict[str, Any]:
    fits = {"a": ("hte", "ncr"), "b": ("ncr",), "p": ("hte",)}
    scored = {
        hazard
        for name, own in fits.items()
        if name in one["cost"].replace("max", "").replace("mean", "")
        for hazard in own
    }
    return (
        one
        if set(one.get("hazards", ["hte"])) & scored
        else {key: value for key, value in one.items() if key != "hazards"}
    )


def agrees(a: CompiledPolicy, b: CompiledPolicy, found: Comparison) -> None:
    seen = set()
    steps = {one.every for one in (*a.budgets, *b.budgets)}
    events = any("p" in one.cost.models() for one in (*a.budgets, *b.budgets))
    for trace in traces(("a", "b", "p"), max(steps) if events else min(steps)):
        end = trace[-1][0] + 1
        one, other = denies(a, trace, end), denies(b, trace, end)
        seen |= {"looser"} if one and not other else {"stricter"} if other and not one else set()
    allowed = {
        "same": set(),
        "stricter": {"stricter"},
        "looser": {"looser"},
    }.get(found.verdict, {"stricter", "looser"})
    assert seen <= allowed, (found, seen)


def check(pair: tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]) -> str:
    a, b = map(made, pair)
    found = compare(a, b)
    for example, shows, denied in ((found.stricter, a, b), (found.looser, b, a)):
        if example is not None:
            (answer,) = example.answers
            trace = tuple((one.position, _by_model(one.scores)) for one in answer.moments if not one.ended)
            if len(trace) == len(answer.moments):
                assert not denies(shows, trace, answer.tokens)
                assert denies(denied, trace, answer.tokens)
    assert (found.verdict in ("stricter", "incomparable")) <= (found.stricter is not None)
    assert (found.verdict in ("looser", "incomparable")) <= (found.looser is not None)
    agrees(a, b, found)
    return found.verdict


def _by_model(scores: Vector) -> Vector:
    found: dict[str, float] = {}
    for name, value in scores.items():
        model = name.split(" ")[0]
        found[model] = max(found.get(model, 0.0), value)
    return found


MANY = int(os.environ.get("IG_STREAMS", "10000")) // 50
PAIRS = st.tuples(st.lists(budgets(), min_size=1, max_size=2), st.lists(budgets(), min_size=1, max_size=2))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(PAIRS)
def test_random_pairs_agree_with_brute_force(pair: Any) -> None:
    check(pair)


@pytest.mark.slow
def test_many_random_pairs_agree_with_brute_force_and_few_are_left_open() -> None:
    """A few hundred, and thousands by `make test-deep`."""
    verdicts: list[str] = []

    @settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(PAIRS)
    def trial(pair: Any) -> None:
        verdicts.append(check(pair))

    trial()
    assert verdicts.count("not decided") < len(verdicts) / 10
    assert {"same", "stricter", "looser", "incomparable"} <= set(verdicts)


def test_where_only_the_cost_differs_the_start_of_a_search_is_told_by_it() -> None:
    models = {"a": {"kind": "lexical", "model": "words", "hazards": ["hte"]}}
    mild = {"a": {**models["a"], "scale": {"from": 1, "to": 0.6}}}
    a, b = policy([{}], models), policy([{}], mild)
    text = as_text(a, b, differences(a, b), ("a.yaml", "b.yaml"))
    assert 'search starts above: "0.5 by a" -> "0.5 by min(a of B, 0.6)"' in text
