"""A recorded answer is asked for again as it was asked for: what became of thoughts, and how much was to be thought."""

from __future__ import annotations

import pytest

from ig_guardrail.types import Message
from ig_guardrail.workbench.rollout.answers import answer_of
from ig_guardrail.workbench.rollout.live import match
from tests.golden.conversations import CALM
from tests.unit.langchain.test_thoughts import EFFORTS, MIND, chat, rail, receipt, written


@pytest.mark.parametrize("asked", [{}, {"reasoning": "hide"}, {"reasoning": "hide", "reasoning_effort": "low"}])
def test_it_is_found_and_asked_for_with_the_same_effort(asked: dict[str, str]) -> None:
    guardrail = rail(written(MIND, CALM), EFFORTS)
    recorded = answer_of("1", receipt(chat(guardrail, **asked).invoke("Why?")))
    matched = match(guardrail.engine, [(Message("user", "Why?"),), (Message("user", "How?"),)], [recorded])
    (again,) = (one.request() for one in matched.again)
    assert (again.turns[0].text, matched.unasked) == ("Why?", 1)
    assert {"reasoning": again.reasoning, "reasoning_effort": again.reasoning_effort} == {
        "reasoning": "auto",
        "reasoning_effort": None,
        **asked,
    }
