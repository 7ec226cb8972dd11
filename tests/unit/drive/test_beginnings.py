"""What stands before the first token is charged: a beginning that the caller wrote, and answers from elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import AccountKey, Limit, MemoryLedger
from ig_guardrail.types import Message, Receipt, Sampling, SearchSettings
from tests.examples import examples
from tests.toys import LetterCost, guardrail, letters, reference_spend, toy_budget, toy_policy

SAMPLING = Sampling(max_tokens=8, temperature=1.0, top_p=1.0)
HELLO = Message("user", "hello")
SEARCH = SearchSettings(block=4, hold=0, retries=0, shortest=0)


def rail(odds: tuple[float, ...] = (1, 0, 0), **budget: Any) -> Guardrail:
    policy = toy_policy([toy_budget("rude", **budget)], SEARCH)
    return guardrail(letters(odds), policy, {"level": LetterCost("level")})


def say(one: Guardrail, *turns: Message, **keys: Any) -> tuple[str, Receipt]:
    """Joined chunks, and the receipt."""
    chunks = list(one.stream(GenerationRequest(turns, **{"sampling": SAMPLING, **keys})))
    receipt = chunks[-1].receipt
    assert receipt is not None
    return "".join(chunk.text for chunk in chunks), receipt


def test_an_answer_goes_on_from_what_the_caller_wrote_and_does_not_repeat_it() -> None:
    text, receipt = say(rail(), HELLO, Message("assistant", "ac"))
    assert text == receipt.text == "aaaaaaaa"
    assert receipt.verdict.outcome == "completed"
    assert (receipt.tokens["released"], receipt.tokens["generated"]) == (8, 8)
    alone = say(rail(), HELLO)[1]
    assert receipt.tokens["prompt"] == alone.tokens["prompt"] + 2
    assert receipt.tokens["held"] == receipt.tokens["discarded"] == 0


def test_a_beginning_over_budget_is_refused_before_anything_is_drawn() -> None:
    text, receipt = say(rail(), HELLO, Message("assistant", "abbb"))
    assert (text, receipt.verdict.outcome) == ("[refusal", "refused")
    assert receipt.verdict.reason == "the beginning that was given is over budget"
    assert (receipt.denied, list(receipt.unsafe)) == (("hte",), ["rude"])
    assert receipt.tokens["generated"] == 0


def test_a_beginning_is_charged_with_what_follows_it() -> None:
    """Too short for a charge point of its own, it still counts at the first one behind it."""
    _, receipt = say(rail(), HELLO, Message("assistant", "bb"))
    assert receipt.verdict.outcome == "refused"
    assert say(rail(threshold=0.5), HELLO, Message("assistant", "bb"))[1].verdict.outcome == "completed"


def test_a_given_beginning_and_a_form_exclude_each_other() -> None:
    with pytest.raises(RequestError, match="ends with a beginning of the answer"):
        say(rail(), HELLO, Message("assistant", "a"), sampling=Sampling(max_tokens=8, grammar='start: "a"'))
    with pytest.raises(RequestError, match="ends with a beginning of the answer"):
        say(rail(), Message("assistant", "a"))


def test_a_steered_search_has_as_much_room_behind_a_beginning_as_without_one() -> None:
    """Twins stand at the position of the answer, the beginning included."""
    search = SearchSettings(block=4, hold=4, candidates=4, retries=2, shortest=0, steer="be kind")
    policy = toy_policy([toy_budget("rude", threshold=0.05)], search)
    one = guardrail(letters((3, 1, 1, 0)), policy, {"level": LetterCost("level")})
    for seed in range(20):
        sampling = Sampling(max_tokens=8, temperature=1.0, top_p=1.0, seed=seed)
        text, receipt = say(one, HELLO, Message("assistant", "acaccaacca"), sampling=sampling)
        assert receipt.verdict.outcome != "completed" or len(text) == 8
        assert reference_spend(LetterCost("level"), policy.budgets[0], "acaccaacca" + text, ended=True) == 0


@settings(max_examples=examples(60), deadline=None)
@given(st.text("abc", min_size=1, max_size=9), st.integers(0, 2**32), st.sampled_from([0.0, 0.2]))
def test_no_beginning_lets_more_pass_than_the_budget(begun: str, seed: int, granted: float) -> None:
    cost = LetterCost("level")
    budget = toy_budget("rude", budget=granted)
    policy = toy_policy([budget], SearchSettings(block=4, hold=2, retries=1, shortest=0))
    one = guardrail(letters((2, 2, 1, 0.5)), policy, {"level": cost})
    sampling = Sampling(max_tokens=9, temperature=1.0, top_p=1.0, seed=seed)
    text, receipt = say(one, HELLO, Message("assistant", begun), sampling=sampling)
    assert text == receipt.text
    if receipt.verdict.outcome == "refused":
        assert text == "[refusal"
        return
    shown = text.removesuffix("\n\n[closing")
    ended = receipt.verdict.outcome == "completed"
    assert reference_spend(cost, budget, begun + shown, ended) <= granted + 1e-9


DRIP = {"scope": "conversation", "threshold": 0.5, "budget": 0.7}


def test_answers_of_the_conversation_are_not_charged_again_when_they_are_given_back() -> None:
    one = rail((0, 1, 0), **DRIP)
    text, _ = say(one, HELLO, conversation="c")
    receipt = say(one, HELLO, Message("assistant", f" {text} "), HELLO, conversation="c")[1]
    assert receipt.spend["rude"]["spent"] == pytest.approx(0.5)


def test_an_answer_from_elsewhere_is_charged_once_before_the_next_one() -> None:
    one = rail(**DRIP)
    history = (HELLO, Message("assistant", "bbbb"), HELLO)
    for _ in range(2):
        text, receipt = say(one, *history, conversation="c")
        assert (text, receipt.verdict.outcome) == ("aaaaaaaa", "completed")
        assert receipt.spend["rude"]["spent"] == pytest.approx(0.5)


def test_earlier_answers_that_cost_more_than_is_left_are_refused_and_leave_no_trace() -> None:
    ledger = MemoryLedger()
    policy = toy_policy([toy_budget("rude", **DRIP)], SEARCH)
    one = guardrail(letters((1, 0, 0)), policy, {"level": LetterCost("level")}, ledger=ledger)
    history = (HELLO, Message("assistant", "bbbb"), HELLO, Message("assistant", "bb"), HELLO)
    _, receipt = say(one, *history, conversation="c")
    assert receipt.verdict.outcome == "refused"
    assert "earlier answers" in receipt.verdict.reason
    assert ledger.spent(AccountKey("c").account("toy", "conversation"), 1, Limit("rude", 1.0)) == 0


def test_a_history_that_begins_with_an_answer_is_charged_too() -> None:
    _, receipt = say(rail(**DRIP), Message("assistant", "bbbb"), HELLO, conversation="c")
    assert receipt.spend["rude"]["spent"] == pytest.approx(0.5)


def test_reading_the_past_leaves_nothing_in_the_engine() -> None:
    one = rail(**DRIP)
    say(one, HELLO, Message("assistant", "bbbb"), HELLO, Message("assistant", "a"), conversation="c")
    assert one.engine.live_nodes() == 0
