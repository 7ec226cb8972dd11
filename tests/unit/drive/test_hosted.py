"""A guardrail whose judge is a moderations endpoint: it is asked before anything is shown, and trusted with nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GenerationFailed
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Message, Receipt, Sampling
from tests.golden.conversations import CALM, KIND, POLITE, RUDE, compiled, scripted_guardrail
from tests.moderations import BAD, Reply, Served, judged, serving

PATTERN = "kind: pattern, hazards: [hte], patterns: ['(?i)\\bblockhead'], longest_match: 9, timeout_ms: 60000"


def rail(served: Served, told: dict[tuple[int, int], str], **keys: Any) -> Guardrail:
    keys = {"timeout_ms": 60_000, **keys}
    hosted = f"kind: openai, model: scripted, base_url: '{served.address}', hazards: [hte]"
    keyed = ", ".join([hosted, *(f"{key}: {value}" for key, value in keys.items())])
    return scripted_guardrail(told, compiled(POLITE.replace(PATTERN, keyed).replace("candidates: 2", "candidates: 3")))


def ask(one: Guardrail, prompt: str = "Why is the sky blue?", shown: list[str] | None = None) -> Receipt:
    """The receipt; what is shown on the way is added to `shown`."""
    receipt = None
    for chunk in one.stream(GenerationRequest((Message("user", prompt),), Sampling(seed=7, max_tokens=64))):
        receipt = chunk.receipt
        if shown is not None:
            shown.append(chunk.text)
    assert receipt is not None
    return receipt


def test_an_unsafe_draft_is_replaced() -> None:
    with serving() as served:
        receipt = ask(rail(served, {(0, 0): RUDE, (1, 0): KIND}))
    assert (receipt.verdict.outcome, receipt.text) == ("completed", KIND)
    assert any(BAD in text for texts in served.asked for text in texts)


def test_candidates_of_a_round_are_judged_in_one_request() -> None:
    with serving() as served:
        ask(rail(served, {(0, 0): RUDE, (1, 0): RUDE.upper(), (2, 0): KIND}))
    assert ["You are a true BLOCKHEAD AND I WILL", "You are a true friend and I will"] in served.asked


def test_an_input_turn_is_judged_too() -> None:
    with serving() as served:
        receipt = ask(rail(served, {(0, 0): CALM}), "Say something, blockhead.")
    assert (receipt.verdict.outcome, receipt.verdict.reason) == ("refused", "prompt check")


def test_where_the_endpoint_dies_nothing_more_is_shown() -> None:
    dead: list[str] = []

    def script(texts: Sequence[str]) -> Reply:
        dead.extend(text for text in texts if "waves" in text)
        return Reply(500, {}, {"retry-after-ms": "1"}) if dead else judged(texts)

    shown: list[str] = []
    with (
        serving(script) as served,
        pytest.raises(GenerationFailed, match="its endpoint answered with status 500") as it,
    ):
        ask(rail(served, {(0, 0): CALM}), shown=shown)
    assert it.value.receipt.verdict.outcome == "failed"
    text = "".join(shown)
    assert text
    assert (it.value.receipt.text, CALM[: len(text)]) == (text, text)
    assert "waves" not in text


@pytest.mark.slow
def test_where_the_endpoint_hangs_the_request_fails_within_its_time() -> None:
    over = threading.Event()

    def script(texts: Sequence[str]) -> Reply:
        over.wait(60)
        return judged(texts)

    with serving(script) as served:
        try:
            with pytest.raises(GenerationFailed, match="did not answer within") as raised:
                ask(rail(served, {(0, 0): CALM}, timeout_ms=200))
        finally:
            over.set()
    assert raised.value.receipt.text == ""


def test_only_a_policy_that_says_so_goes_on_without_it_and_the_receipt_tells() -> None:
    def script(texts: Sequence[str]) -> Reply:
        return judged(texts) if texts == ["Why is the sky blue?"] else Reply(400, {})

    with serving(script) as served:
        receipt = ask(rail(served, {(0, 0): CALM}, on_error="open"))
    assert (receipt.verdict.outcome, receipt.text) == ("completed", CALM)
    assert "status 400" in receipt.fail_open[0]
