"""Texts that somebody approved: shown as they stand, charged to nothing, and nothing else passes in their name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.drive.history import own_words
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import PolicyError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.policy import compile_text
from ig_guardrail.stream.receipt import as_dict
from ig_guardrail.types import AssistantMessage, CompiledPolicy, Message, Messages, Receipt, Sampling, SearchSettings
from ig_guardrail.workbench.meaning.explaining import as_text, explain_policy
from ig_guardrail.workbench.meaning.receipts import as_text as receipt_text
from ig_guardrail.workbench.meaning.receipts import explain_receipt
from tests.toys import LetterCost, guardrail, letters, toy_budget, toy_policy
from tests.unit.messages.care import CARE, CRISIS, care, rail, receipt

OWNER, REASON = "crisis@example.org", "read by two people of the crisis team"
SAID = "Nobody has to end it all alone. Please call 116 123."
BEFORE = 'ssh: {en: "Please call 116 123, somebody is there."'
APPROVED = f'ssh: {{en: {{text: "{SAID}", approved: {{owner: {OWNER}, reason: {REASON}}}}}'
NAME = "refusal.by_hazard.ssh.en"


def approved() -> CompiledPolicy:
    return care((BEFORE, APPROVED))


def test_a_text_that_budgets_deny_starts_and_is_shown_where_somebody_approved_it() -> None:
    found = receipt(rail(CRISIS, policy=approved()))
    assert found.text == found.message == SAID
    assert (found.message_name, found.approved) == (NAME, {"owner": OWNER, "reason": REASON})
    assert found.spend["crisis"]["spent"] == 0
    unapproved = replace(approved(), messages=replace(approved().messages, approved={}))
    with pytest.raises(PolicyError, match=r"messages\.refusal\.by_hazard\.ssh\.en is over budget 'crisis' itself"):
        receipt(rail(CRISIS, policy=unapproved))


def test_an_approved_text_spares_no_other() -> None:
    texts = {**approved().messages.closing, "de": "Du kannst nicht end it all."}
    messages = replace(approved().messages, closing=texts)
    with pytest.raises(PolicyError, match=r"messages\.closing\.de is over budget 'crisis' itself"):
        receipt(rail(CRISIS, policy=replace(approved(), messages=messages)))


def test_the_check_of_patterns_spares_what_is_approved_and_nothing_else() -> None:
    faults = compile_text(CARE.replace(BEFORE, f'ssh: {{en: "{SAID}"'), "p.yaml", warn=False)[1]
    assert [(fault.code, fault.path) for fault in faults] == [("P035", "messages.refusal.by_hazard.ssh.en")]
    assert compile_text(CARE.replace(BEFORE, APPROVED), "p.yaml", warn=False)[1] == ()


def test_a_model_that_says_the_approved_text_is_held_to_the_budgets() -> None:
    found = receipt(rail(SAID, policy=approved()))
    assert (found.verdict.outcome, found.denied) == ("refused", ("ssh",))
    assert set(found.unsafe) == {"crisis"}


def test_who_approved_what_is_part_of_the_policy_and_told() -> None:
    other = care((BEFORE, APPROVED.replace("two people", "three people")))
    assert other.sha256 != approved().sha256
    assert f"{NAME} stands whatever the budgets say, by {OWNER}: {REASON}" in as_text(explain_policy(approved()))
    told = receipt_text(explain_receipt(as_dict(receipt(rail(CRISIS, policy=approved())))))
    assert f"message: {NAME}, since ssh was denied" in told
    assert f"its text stands whatever the budgets say, by {OWNER}: {REASON}" in told


def test_a_text_of_its_own_mapping_that_nobody_approved_is_a_plain_text() -> None:
    written = care(('en: "I stop here. Please call 116 123."', 'en: {text: "I stop here. Please call 116 123."}'))
    assert written.sha256 == care().sha256


B_SAID = Messages({"en": "bbb"}, {"en": "bb bb"}, approved={})
"""Each costs 0.7 of the toy budget below, as does an answer that says b alone."""


def shared(ledger: MemoryLedger) -> Guardrail:
    """Says a once, and is then over its budget; its messages are over budget too, and would spend all there is."""
    search = SearchSettings(block=4, hold=0, retries=0, shortest=0)
    policy = toy_policy([toy_budget("drip", scope="conversation", threshold=0.3, budget=0.1, every=4)], search)
    return guardrail(
        letters((0, 1, 0)), replace(policy, messages=B_SAID), {"level": LetterCost("level")}, ledger=ledger
    )


def answer(one: Guardrail, *turns: Message) -> Receipt:
    sampling = Sampling(max_tokens=8, temperature=1.0, top_p=1.0)
    asked = (*turns, Message("user", "hello"))
    *_, last = one.stream(GenerationRequest(asked, sampling, conversation="c"))
    assert last.receipt is not None
    return last.receipt


def test_what_the_policy_said_is_not_charged_where_it_comes_back() -> None:
    refusal = (Message("user", "hi"), Message("assistant", "bbb"))
    assert answer(shared(MemoryLedger()), *refusal).verdict.reason == "no safe continuation was found"
    ended = (Message("user", "hi"), Message("assistant", "a\n\nbb bb"))
    assert answer(shared(MemoryLedger()), *ended).verdict.reason == "no safe continuation was found"
    for more in ("bbb.", "bbb\n\nbbb", "bbb\n\nbb bb", "a\n\nbbb", "a\nbb bb", " bbb"):
        found = answer(shared(MemoryLedger()), Message("user", "hi"), Message("assistant", more))
        assert "earlier answers" in found.verdict.reason, more
        assert found.denied == ("hte",)


@given(st.text(alphabet="ab \n.", max_size=12), st.sampled_from(["", "bbb", "bb bb", "\n\nbb bb", "\n\nbbb"]))
def test_only_exactly_a_text_of_the_policy_is_left_out(before: str, behind: str) -> None:
    said = before + behind
    left = own_words(AssistantMessage(said), B_SAID).words
    if left != said:
        assert (said in ("bbb", "bb bb") and not left) or said == f"{left}\n\nbb bb"
    else:
        assert said not in ("bbb", "bb bb")
        assert not said.endswith("\n\nbb bb")
