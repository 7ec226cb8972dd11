"""Resampling on a local engine: whole answers are drawn anew, until one is within budget or something was shown."""

from __future__ import annotations

import pytest

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.types import Message, Receipt, Sampling
from tests.golden.conversations import CALM, KIND, LATE, POLITE, RUDE, compiled, scripted_guardrail


def answered(told: dict[tuple[int, int], str], policy: str = POLITE) -> Receipt:
    rail = scripted_guardrail(told, compiled(policy))
    ask = GenerationRequest((Message("user", "Why?"),), Sampling(seed=7, max_tokens=64), "resample")
    *_, last = rail.stream(ask)
    assert last.receipt is not None
    assert rail.engine.live_nodes() == 0
    return last.receipt


def test_the_first_answer_is_the_unguarded_stream() -> None:
    receipt = answered({(0, 0): CALM})
    assert (receipt.text, receipt.verdict.outcome, receipt.tokens["discarded"]) == (CALM, "completed", 0)
    assert receipt.search["strategy"] == "resample"


def test_attempts_follow_each_other_as_often_as_retries_allow() -> None:
    told = {(0, 0): RUDE, (0, 1): RUDE, (0, 2): KIND}
    assert answered(told).verdict.outcome == "refused"
    assert answered(told, POLITE.replace("retries: 1", "retries: 2")).text == KIND


def test_only_what_is_held_can_be_replaced() -> None:
    told = {(0, 0): LATE, (0, 1): KIND}
    assert answered(told).verdict.outcome == "ended"
    assert answered(told, POLITE.replace("hold: 4", "hold: 64")).text == KIND


@pytest.mark.parametrize("restart", ["Be kind.", None])
def test_it_does_not_begin_anew_under_a_stricter_text(restart: str | None) -> None:
    policy = POLITE if restart is None else POLITE.replace("shortest: 2", f'shortest: 2, restart: "{restart}"')
    assert answered({(0, 0): RUDE}, policy).fallbacks == ("refusal",)
