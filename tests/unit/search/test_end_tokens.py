"""An end token is a candidate like any other: it has the probability that the model gives it."""

from __future__ import annotations

from collections.abc import Mapping

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Vocabulary
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.deal import Deal
from tests.toys import toy_policy
from tests.unit.search.clerks import END, Clerk, answer, rail

LETTERS = tuple(f" {letter}" for letter in "bcdefghijklmnopqrstuvwxyz")


def mostly_works(asked: str, said: str) -> Mapping[str, float]:
    return {END: 1.0} if said else {" works": 0.9, END: 0.1}


def works_among_many(asked: str, said: str) -> Mapping[str, float]:
    return {END: 1.0} if said else {" works": 0.2, END: 0.05, **dict.fromkeys(LETTERS, 0.03)}


def test_deal_without_a_reward_is_greedy_decoding() -> None:
    assert answer(rail(mostly_works), Deal(k=2, lookahead=1)).text == " works"


def test_deal_adds_nothing_to_an_end_that_a_reward_does_not_want() -> None:
    wanted = Deal(k=2, lookahead=1, weight=1.0, objectives=((1.0, lambda text: -2.0 if text else 0.0),))
    assert answer(rail(mostly_works), wanted).text == " works"  # log 0.9 - 2 > log 0.1
    more = Deal(k=2, lookahead=1, weight=1.0, objectives=((1.0, lambda text: -2.3 if text else 0.0),))
    assert answer(rail(mostly_works), more).text == ""


def test_args_gives_the_end_no_more_than_its_probability() -> None:
    clerk = Clerk(works_among_many, Vocabulary((" works", *LETTERS)))
    policy = toy_policy([], models=())
    assert answer(Guardrail(ScriptedEngine(clerk), policy, {}), "args_cost").text == " works"
