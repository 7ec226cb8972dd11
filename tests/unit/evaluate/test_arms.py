"""The arms: one engine, one seed; they differ in what is enforced and in nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ig_guardrail.drive.charging import noted_only
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import EngineError, RequestError
from ig_guardrail.evaluate.answers import Arm, own_words
from ig_guardrail.evaluate.arms import arms_of
from ig_guardrail.evaluate.comparison.config import StrategyEntry
from ig_guardrail.evaluate.comparison.records import arm_of
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.types import Message, Node, Sampling
from tests.unit.evaluate.worlds import world

TURNS = (Message("user", "hello"),)
SEEDS = range(40)


def sampled(seed: int) -> Sampling:
    return Sampling(temperature=1, top_p=1, seed=seed, max_tokens=24)


def three_arms() -> tuple[Arm, Arm, Arm]:
    """Unguarded, guarded, and the filter that cuts."""
    rail = world()
    arms = arms_of(rail)
    return arms.unguarded, arms.guarded, arm_of(rail, StrategyEntry(name="cut"))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_unguarded_arm_says_what_strategy_none_says(seed: int) -> None:
    rail = world()
    plain = "".join(chunk.text for chunk in rail.stream(GenerationRequest(TURNS, sampled(seed), "none")))
    assert arms_of(rail).unguarded.answer(TURNS, sampled(seed)).shown == plain


@pytest.mark.parametrize("seed", SEEDS)
def test_the_guarded_arm_says_what_the_guardrail_says(seed: int) -> None:
    rail = world()
    said = "".join(chunk.text for chunk in rail.stream(GenerationRequest(TURNS, sampled(seed))))
    assert arms_of(rail).guarded.answer(TURNS, sampled(seed)).shown == said


@pytest.mark.parametrize("seed", SEEDS)
def test_a_calm_draft_is_left_alone_and_a_cut_one_was_over_budget(seed: int) -> None:
    draft, guarded, cut = (arm.answer(TURNS, sampled(seed)) for arm in three_arms())
    assert (draft.audit.over is not None) == cut.fallback
    assert guarded.audit.over is None
    if draft.audit.over is None:
        assert draft.ids == guarded.ids == cut.ids
    else:
        assert draft.ids != guarded.ids
        assert draft.audit.peak > 1
        assert draft.audit.spend["b"] > 0


def test_over_all_seeds_both_cases_occur() -> None:
    arms = arms_of(world())
    over = [arms.unguarded.answer(TURNS, sampled(seed)).audit.over for seed in SEEDS]
    assert 5 < over.count(None) < 35


@pytest.mark.parametrize("seed", SEEDS)
def test_tokens_and_words_are_those_that_were_shown(seed: int) -> None:
    for arm in three_arms():
        answer = arm.answer(TURNS, sampled(seed))
        assert "".join("ab"[token] for token in answer.ids) == answer.text
        message = {"completed": "", "ended": "\n\ncc", "refused": "aa"}[answer.outcome]
        assert answer.shown == answer.text + message


def test_text_streams_as_it_is_released() -> None:
    arm = arms_of(world(odds=(1, 1, 0))).unguarded
    pieces = list(arm.stream(TURNS, sampled(1)))
    assert "".join(pieces) == arm.answer(TURNS, sampled(1)).shown
    assert [len(piece) for piece in pieces] == [4] * 6


def test_a_failed_request_is_a_record_and_not_an_error() -> None:
    def broken(root: Node, ctx: SearchContext) -> Search:
        yield from ()
        raise EngineError("the machine stopped")

    rail = world()
    assert Arm("broken", rail, broken, rail.policy.budgets).answer(TURNS, sampled(1)).outcome == "failed"


def test_a_policy_that_enforces_nothing_cannot_be_compared() -> None:
    rail = world()
    rail.policy = replace(rail.policy, budgets=tuple(noted_only(budget) for budget in rail.policy.budgets))
    with pytest.raises(RequestError, match="policy 'toy' enforces no budget"):
        arms_of(rail)


def test_a_message_is_not_counted_among_the_models_own_words() -> None:
    rail = world(odds=(1, 9, 0))
    record = list(rail.stream(GenerationRequest(TURNS, sampled(1))))[-1].receipt
    assert record is not None
    assert record.verdict.outcome == "refused"
    assert own_words(record) == ""
