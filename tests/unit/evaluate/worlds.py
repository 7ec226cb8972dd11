"""Toy guardrails for the tests of this folder: letters for tokens, the share of b for a cost."""

from __future__ import annotations

from dataclasses import replace

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Messages, SearchSettings
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy

SETTINGS = SearchSettings(block=4, hold=4, candidates=8, shortest=0, steer=None)
SPOKEN = Messages({"en": "aa"}, {"en": "cc"})


def world(odds: tuple[float, ...] = (6, 3, 1), threshold: float = 0.3) -> Guardrail:
    """a, b and the end at these odds; too many b is over budget."""
    policy = toy_policy([toy_budget("b", threshold=threshold)], SETTINGS)
    return guardrail(letters(odds), replace(policy, messages=SPOKEN), {"level": LetterCost("level")})
