"""The parts of the search: the token penalty, the order of candidates, and steered proposals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.search.base import SearchContext
from ig_guardrail.search.drawing.ranking import Candidate, acceptable, rank, repeated_trigrams
from ig_guardrail.search.drawing.steering import Steering
from ig_guardrail.search.drawing.widening import frequency_penalty
from ig_guardrail.search.plain import search as plain
from ig_guardrail.types import (
    Accepted,
    Append,
    Commit,
    CostEstimate,
    Denied,
    Drop,
    Edit,
    Extend,
    Node,
    SearchSettings,
    Twin,
)

SETTINGS = SearchSettings(shortest=3, accept=0.7)
numbers = iter(range(1, 10**6))


def root() -> Node:
    return Node(next(numbers), 0, None, (), 0, "", (), 0)


def child(parent: Node, *ids: int, finish: Any = None) -> Node:
    position = parent.position + len(ids)
    return Node(next(numbers), 0, parent, ids, position, "", (0,) * len(ids), 0, finish=finish)


def candidate(*ids: int, pressure: float = 0.0, z: float = 1.0, finish: Any = None, **keys: Any) -> Candidate:
    return Candidate(child(root(), *ids, finish=finish), CostEstimate({"b": z}, 0.0, pressure), **keys)


blocks = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6)


@given(blocks, st.floats(0.1, 20), st.integers(1, 3), st.frozensets(st.integers(0, 9)))
def test_the_penalty_lowers_content_tokens_only(
    failed: list[list[int]], strength: float, attempt: int, protected: frozenset[int]
) -> None:
    bias = frequency_penalty(failed, strength, attempt, protected)
    seen = {token for ids in failed for token in ids}
    assert {token for token, _ in bias} == seen - protected
    assert all(-strength * attempt <= value < 0 for _, value in bias)


def test_the_penalty_grows_with_the_share_of_failures_and_with_attempts() -> None:
    failed = [(1, 2), (1, 3), (1,), (4,)]
    assert frequency_penalty(failed, 3.0, 1, frozenset()) == ((1, -3.0), (2, -1.5), (3, -1.5), (4, -1.5))
    assert frequency_penalty(failed, 3.0, 2, frozenset({1}))[0] == (2, -3.0)
    assert frequency_penalty([], 3.0, 1, frozenset()) == ()
    assert frequency_penalty(failed, 3.0, 0, frozenset({1, 2, 3, 4})) == ()


def test_candidates_over_budget_too_short_or_doubled_are_not_ranked() -> None:
    over = candidate(1, 2, 3, z=-0.1)
    short = candidate(1, 2, finish="stop")
    first, twice = candidate(4, 5, 6), candidate(4, 5, 6)
    assert rank([over, short, first, twice], SETTINGS) == [first]


def test_the_first_past_the_margin_comes_first_then_those_below_the_threshold_by_pressure() -> None:
    tense, tenser = candidate(1, pressure=0.8), candidate(2, pressure=0.9)
    calm, calmer = candidate(3, pressure=0.6), candidate(4, pressure=0.1)
    loop = candidate(*[7] * 12, pressure=0.0)
    assert rank([tenser, loop, calm, tense, calmer], SETTINGS) == [calm, calmer, loop, tense, tenser]
    assert [acceptable(one, SETTINGS) for one in (calm, tense)] == [True, False]


def test_with_a_task_value_the_order_is_safety_first_then_value() -> None:
    safe = candidate(1, chance=0.9, value=1.0)
    useful = candidate(2, chance=0.4, value=9.0)
    better = candidate(3, chance=0.9, value=2.0)
    assert rank([useful, safe, better], SETTINGS) == [better, safe, useful]


def test_no_task_value_outweighs_the_margin() -> None:
    near = candidate(1, 2, 3, pressure=0.9, value=9.0)
    nearer = candidate(1, 2, 4, pressure=0.99, value=99.0)
    kept = candidate(1, 2, 5, pressure=0.6, value=-9.0)
    better = candidate(1, 2, 6, pressure=0.7, value=-8.0)
    assert rank([nearer, near, kept, better], SETTINGS) == [better, kept, near, nearer]
    assert rank([nearer, near, kept, better], replace(SETTINGS, accept=1.0)) == [nearer, near, better, kept]


def test_repeated_trigrams_are_a_share() -> None:
    assert repeated_trigrams([1, 2]) == 0
    assert repeated_trigrams([1, 2, 3, 4]) == 0
    assert repeated_trigrams([1, 1, 1, 1, 1]) == 1 - 1 / 3


def test_steering_opens_one_twin_and_grows_it_with_the_answer() -> None:
    steering, start = Steering("be kind"), root()
    follow = steering.follow(start)
    assert next(follow) == Twin(start, Edit("be kind"))
    twin = root()
    assert _result(follow, twin) is twin
    step = child(start, 1, 2)
    follow = steering.follow(step)
    assert next(follow) == Append(((twin, step),))
    grown = child(twin, 1, 2)
    assert _result(follow, [grown]) is grown
    assert _result(steering.follow(step)) is grown
    forget = steering.forget(step)
    assert next(forget) == Drop((grown,))


def test_plain_decoding_stops_at_the_first_denial() -> None:
    run = plain(root(), SearchContext(SETTINGS))
    assert isinstance(next(run), Extend)
    first = child(root(), 1)
    assert run.send([first]) == Commit(first)
    assert isinstance(run.send(Accepted({}, 0)), Drop)
    assert isinstance(run.send(None), Extend)
    second = child(first, 2)
    assert run.send([second]) == Commit(second)
    assert _result(run, Denied("budget", "b", 2)) is None


def _result(generator: Any, value: Any = None) -> Any:
    try:
        generator.send(value)
    except StopIteration as end:
        return end.value
    raise AssertionError("the generator asked for more")
