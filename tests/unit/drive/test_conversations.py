"""Budgets that the answers of a conversation share: a drip is stopped, and so is fishing by drawing again."""

from __future__ import annotations

from typing import Any

import pytest

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GenerationFailed, LedgerError, RequestError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import AccountKey, LedgerEntry, Limit, MemoryLedger
from ig_guardrail.types import Message, Receipt, Sampling, SearchSettings
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy

SAMPLING = Sampling(max_tokens=8, temperature=1.0, top_p=1.0)
ACCOUNT = AccountKey("c").account("toy", "conversation")
DRIP = {"scope": "conversation", "threshold": 0.5, "budget": 0.7, "every": 4}


def rail(ledger: MemoryLedger | None = None, **budget: Any) -> Guardrail:
    """A model that says only b, which costs 0.5 an answer."""
    search = SearchSettings(block=4, hold=0, retries=0, shortest=0)
    policy = toy_policy([toy_budget("drip", **{**DRIP, **budget})], search)
    return guardrail(letters((0, 1, 0)), policy, {"level": LetterCost("level")}, ledger=ledger)


def say(one: Guardrail, conversation: str | None = "c", tenant: str | None = None) -> Receipt:
    *_, last = one.stream(
        GenerationRequest((Message("user", "hello"),), SAMPLING, conversation=conversation, tenant=tenant)
    )
    assert last.receipt is not None
    return last.receipt


def test_what_each_answer_may_do_alone_two_may_not() -> None:
    one = rail()
    first, second = say(one), say(one)
    assert (first.verdict.outcome, first.turn) == ("completed", 1)
    assert (second.verdict.outcome, second.turn) == ("refused", 2)
    assert first.spend["drip"]["spent"] == second.spend["drip"]["spent"] == pytest.approx(0.5)


def test_another_conversation_begins_afresh() -> None:
    one = rail()
    assert [say(one, name).verdict.outcome for name in ("c", "d", "c")] == ["completed", "completed", "refused"]


def test_an_answer_that_shows_nothing_pays_nothing() -> None:
    one = rail(budget=0.4)
    assert [say(one).verdict.outcome for _ in range(2)] == ["refused", "refused"]
    assert one.ledger.spent(ACCOUNT, 2, Limit("drip", 1.0)) == 0


def test_conversations_forget_as_the_policy_says() -> None:
    assert [say(one).verdict.outcome for one in [rail(decay=0.3)] * 2] == ["completed", "completed"]
    assert [say(one).verdict.outcome for one in [rail(window=1)] * 2] == ["completed", "completed"]


def test_turns_in_which_nothing_is_shown_forget_nothing() -> None:
    one = rail(decay=0.5, budget=0.6)
    assert say(one).verdict.outcome == "completed"
    assert [say(one).turn for _ in range(3)] == [2, 2, 2]


def test_without_a_name_the_request_is_refused() -> None:
    with pytest.raises(RequestError, match="no conversation is named, and budget 'drip'"):
        say(rail(), None)


def test_what_another_answer_spends_meanwhile_is_not_spent_twice() -> None:
    class Racing(MemoryLedger):
        """Another answer is shown between this one's beginning and its first charge."""

        def spent(self, account: str, turn: int, limit: Limit) -> float:
            found = super().spent(account, turn, limit)
            super().charge([LedgerEntry(account, turn, limit.budget, 0.6)], {limit.budget: limit})
            return found

    ledger = Racing()
    receipt = say(rail(ledger))
    assert receipt.verdict.outcome == "refused"
    assert receipt.verdict.reason == "another answer spent what was left of a shared budget first"
    assert receipt.denied == ("hte",)
    assert MemoryLedger.spent(ledger, ACCOUNT, 1, Limit("drip", 0.7)) == 0.6


def test_a_ledger_that_fails_fails_the_request() -> None:
    class Broken(MemoryLedger):
        def turn(self, account: str) -> int:
            raise LedgerError("the disk is full")

    with pytest.raises(GenerationFailed, match="the disk is full"):
        say(rail(Broken()))


def test_all_conversations_of_a_tenant_share_its_budget_and_no_other_tenant_does() -> None:
    one = rail(scope="tenant")
    asked = [("c", "acme"), ("d", "acme"), ("c", "other"), (None, "acme")]
    assert [say(one, *who).verdict.outcome for who in asked] == ["completed", "refused", "completed", "refused"]


def test_conversations_of_one_name_are_not_shared_between_tenants() -> None:
    one = rail()
    asked = [("c", "acme"), ("c", "other"), ("c", "acme")]
    assert [say(one, *who).verdict.outcome for who in asked] == ["completed", "completed", "refused"]


def test_a_budget_of_a_tenant_and_one_of_a_conversation_are_both_kept() -> None:
    budgets = [toy_budget("all", **{**DRIP, "scope": "tenant", "budget": 1.2}), toy_budget("drip", **DRIP)]
    policy = toy_policy(budgets, SearchSettings(block=4, hold=0, retries=0, shortest=0))
    one = guardrail(letters((0, 1, 0)), policy, {"level": LetterCost("level")})
    told = [say(one, name, "acme") for name in ("c", "c", "d", "e")]
    assert [receipt.verdict.outcome for receipt in told] == ["completed", "refused", "completed", "refused"]
    assert [receipt.turn for receipt in told] == [1, 2, 1, 1]


def test_without_the_name_of_a_tenant_the_request_is_refused() -> None:
    with pytest.raises(RequestError, match="no tenant is named, and budget 'drip'"):
        say(rail(scope="tenant"))


def test_names_cannot_be_made_to_look_like_others() -> None:
    one = rail()
    say(one, 'c", "d', None)
    assert say(one, "d", "c").verdict.outcome == "completed"
    assert AccountKey('x", "y').account("p", "conversation") != AccountKey("y", "x").account("p", "conversation")
