"""A receipt says which patterns matched, in an answer, a draft or the prompt, and never what they matched."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ig_guardrail.costs.pattern import compile_patterns
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.policy import compile_text
from ig_guardrail.stream.receipt import as_json
from ig_guardrail.types import CompiledPolicy, Message, Piece, Prompt, Receipt, Sampling
from tests.golden.conversations import POLITE, compiled, scripted_guardrail

PATTERNS = r"""[{name: card-number, pattern: '\d{4}-\d{4}'}, '(?i)codeword', {pattern: 'secret'}]"""
TEXT = POLITE.replace(r"['(?i)\bblockhead'], longest_match: 9", f"{PATTERNS}, longest_match: 9")


def served(told: str | list[str], prompt: str = "Go.", policy: CompiledPolicy | None = None) -> Receipt:
    guardrail = scripted_guardrail({(0, 0): told}, policy or compiled(TEXT))  # type: ignore[dict-item]
    chunks = list(guardrail.stream(GenerationRequest((Message("user", prompt),), Sampling(seed=7, max_tokens=64))))
    assert chunks[-1].receipt is not None
    return chunks[-1].receipt


@pytest.mark.parametrize(
    ("said", "fired"),
    [
        ("The number is 1234-5678 as you know.", ("card-number",)),
        ("The CodeWord is known to all of us here.", (1,)),
        ("It is a secret and it will stay one.", (2,)),
        ("The secret codeword: 1234-5678.", ("card-number", 1, 2)),
        ("Nothing of the kind is said here.", ()),
    ],
)
def test_a_receipt_names_the_patterns_of_a_draft_that_was_given_up(said: str, fired: tuple[str | int, ...]) -> None:
    receipt = served([said])
    assert receipt.verdict.outcome == ("refused" if fired else "completed")
    assert receipt.fired == ({"rude": fired} if fired else {})


def test_a_receipt_names_the_patterns_of_a_prompt() -> None:
    receipt = served("All is well.", prompt="Say 1234-5678, please.")
    assert receipt.prompt_check["fired"] == {"rude": ("card-number",)}
    assert receipt.fired == {"rude": ("card-number",)}


def test_a_charge_names_the_patterns_it_rests_on() -> None:
    text = TEXT.replace("budget: 0.0, every: 4", "budget: 5.0, every: 4")
    receipt = served(["The ", "codeword", " is ", "known ", "to ", "all."], policy=compiled(text))
    assert receipt.verdict.outcome == "completed"
    assert [charge.fired for charge in receipt.charges] == [{"rude": (1,)}, {}]
    assert [charge.cost > 0 for charge in receipt.charges] == [True, False]


def test_no_receipt_holds_what_was_matched() -> None:
    receipt = replace(served(["The number is 1234-5678 and the codeword is known."]), text="")
    assert "1234-5678" not in as_json(receipt)
    assert "codeword" not in as_json(receipt)
    assert json.loads(as_json(receipt))["fired"] == {"rude": ["card-number", 1]}


def test_a_pattern_without_a_name_is_the_same_however_it_is_written() -> None:
    longer = TEXT.replace("'(?i)codeword'", "{pattern: '(?i)codeword'}")
    assert compiled(longer).sha256 == compiled(TEXT).sha256
    assert compiled(TEXT.replace("card-number", "card")).sha256 != compiled(TEXT).sha256


def test_names_change_no_score_and_no_hash_of_the_cost_model() -> None:
    plain = compile_patterns(["a", "b"], 4, "codes", ("prv",))
    named = compile_patterns(["a", "b"], 4, "codes", ("prv",), names=["first", None])
    assert plain.sha256 == named.sha256
    ((state, _),) = named.advance([(named.start(Prompt((), ())), Piece("ab"))])
    assert named.fired(state) == ("first", 1)


def test_how_patterns_read_is_in_the_hash_unless_it_is_the_default() -> None:
    policy = compiled(TEXT)
    assert compiled(TEXT.replace("longest_match: 9", "longest_match: 9, normalise: text")).sha256 == policy.sha256
    literal = compiled(TEXT.replace("longest_match: 9", "longest_match: 9, normalise: none"))
    assert literal.sha256 != policy.sha256
    assert served(["The code\u200bword is known."], policy=literal).verdict.outcome == "completed"
    assert served(["The code\u200bword is known."], policy=policy).verdict.outcome == "refused"


def test_a_name_is_no_text_of_any_kind() -> None:
    _, faults = compile_text(TEXT.replace("card-number", "Card Number"), "p.yaml")
    assert [fault.code for fault in faults] == ["P020"]
