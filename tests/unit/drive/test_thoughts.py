"""What becomes of thoughts: judged where they are shown, and where they are hidden unless the policy ignores them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Judging, Message, Reasoning, Receipt, Sampling, SearchSettings
from tests.toys import LetterCost, toy_budget, toy_policy

FORMAT = ThoughtFormat("<think>", "</think>")


def answered(
    told: str, reasoning: Reasoning, judging: Judging, reading: str = "level", granted: float = 0.0
) -> tuple[str, str, Receipt]:
    """The thought and the text that were shown, and the receipt."""
    budget = toy_budget("b", model=reading, threshold=0.0, budget=granted, every=2)
    search = SearchSettings(block=2, hold=0, candidates=1, retries=0, shortest=0, steer=None)
    policy = replace(toy_policy([budget], search, (reading,)), reasoning=judging)
    script = Continuations({(0, 0): told}, thoughts=FORMAT)
    rail = Guardrail(ScriptedEngine(script), policy, {reading: LetterCost(reading, reading=reading)})
    rail._approved.set()
    request = GenerationRequest((Message("user", "q"),), Sampling(max_tokens=40), reasoning=reasoning)
    chunks = list(rail.stream(request))
    assert chunks[-1].receipt is not None
    return "".join(one.reasoning for one in chunks), "".join(one.text for one in chunks), chunks[-1].receipt


@pytest.mark.parametrize("reading", ["level", "event"])
def test_a_thought_is_judged_where_it_is_shown_or_the_policy_charges_it(reading: str) -> None:
    told = "<think> b a </think> c d e f"
    for judging in ("charge", "ignore"):
        mind, said, receipt = answered(told, "auto", judging, reading)
        assert (mind, said, receipt.verdict.outcome) == ("", "[refusal", "refused")
    assert answered(told, "hide", "charge", reading)[1] == "[refusal"
    mind, said, receipt = answered(told, "hide", "ignore", reading)
    assert (mind, said, receipt.verdict.outcome) == ("", "c d e f", "completed")
    assert {line.score for line in receipt.charges} == {0.0}


@pytest.mark.parametrize("reading", ["level", "event"])
@pytest.mark.parametrize("judging", ["charge", "ignore"])
def test_an_answer_behind_a_thought_is_judged_whatever_becomes_of_the_thought(judging: Judging, reading: str) -> None:
    mind, said, receipt = answered("<think> a c </think> d e b f", "hide", judging, reading)
    assert (mind, said, receipt.verdict.outcome) == ("", "d e\n\n[closing", "ended")


def test_a_score_begins_anew_behind_a_thought() -> None:
    """The share of b: 1 of 3 in the thought, none in the answer, and never that of both together."""
    mind, said, receipt = answered("<think>bac</think>d e f g h i", "auto", "charge", granted=9.0)
    assert (mind, said) == ("bac", "d e f g h i")
    assert {line.score for line in receipt.charges} == {1 / 3, 0.0}
