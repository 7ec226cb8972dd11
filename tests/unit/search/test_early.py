"""Early looks at a draft: text flows in a calm one, and beside a risky one the wide round has begun."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search import inference_guard
from ig_guardrail.search.recorder import watched
from ig_guardrail.types import Append, Extend, Sampling, Score, SearchOp, SearchSettings, Together, Twin
from tests.toys import LetterCost, ask, guardrail, letters, toy_budget, toy_policy

SAMPLING = Sampling(max_tokens=48, temperature=1.0, top_p=1.0, seed=5)
SEARCH = SearchSettings(block=16, hold=16, candidates=3, shortest=0, retries=1, steer=None, restart=None)


def rail(weights: tuple[int, ...], search: SearchSettings = SEARCH, layers: tuple[int, ...] = (1,)) -> Guardrail:
    policy = toy_policy([toy_budget("b", every=16)], search)
    return guardrail(letters(weights), policy, {"level": LetterCost("level", layers=layers)})


def deltas(one: Guardrail, strategy: Any = None) -> list[str]:
    return [chunk.text for chunk in one.stream(ask(SAMPLING, strategy)) if chunk.text]


def test_calm_text_flows_a_quarter_of_a_block_at_a_time() -> None:
    assert deltas(rail((1, 0, 0))) == [*["aaaa"] * 7, "a" * 20]  # the end of an answer frees what was held


def test_where_nothing_can_be_seen_early_it_flows_by_blocks() -> None:
    assert deltas(rail((1, 0, 0), layers=())) == ["a" * 16, "a" * 32]


def test_with_a_hold_shorter_than_a_block_nothing_is_offered_inside_one() -> None:
    assert deltas(rail((1, 0, 0), replace(SEARCH, hold=8)))[:2] == ["a" * 8, "a" * 16]


def test_the_wide_round_begins_beside_a_draft_that_looks_risky() -> None:
    kinds = _kinds(rail((0, 1, 0)))
    assert kinds[:5] == ["extend", "early_score", "together", "early_score", "together"]
    assert kinds[5:8] == ["early_score", "together", "cost"]
    assert kinds[8:10] == ["extend", "cost"]  # the round's last quarter


def test_a_steered_round_begins_in_its_twin_and_is_moved_at_the_end() -> None:
    kinds = _kinds(rail((0, 1, 0), replace(SEARCH, steer="be kind")))
    assert kinds[:6] == ["extend", "early_score", "twin", "together", "early_score", "together"]
    assert kinds[6:9] == ["early_score", "together", "cost"]
    assert kinds[9:12] == ["extend", "append", "cost"]


def _kinds(one: Guardrail) -> list[str]:
    """What the search asks for, in order; commits and drops left out."""
    kinds: list[str] = []

    def name(request: SearchOp, reply: Any) -> None:
        match request:
            case Score():
                kinds.append(request.kind)
            case Extend() | Together() | Twin() | Append():
                kinds.append(type(request).__name__.lower())

    deltas(one, watched(inference_guard.search, name))
    return kinds
