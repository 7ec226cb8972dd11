"""Receipts for people: nothing overdrawn looks calm, nothing that was not enforced looks enforced."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console, RenderableType

from ig_guardrail.cli.receipt_view import line, table
from ig_guardrail.types import QuotedSource, Receipt
from tests.golden.conversations import CONVERSATIONS, POLITE, RUDE, compiled, scripted_guardrail


def receipt_of(name: str) -> Receipt:
    conversation = CONVERSATIONS[name]
    *_, last = conversation.guardrail().stream(conversation.ask())
    assert last.receipt is not None
    return last.receipt


def drawn(view: RenderableType) -> str:
    console = Console(width=200, no_color=True, file=io.StringIO())
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def with_spend(spent: float, of: float, mode: str = "enforce") -> Receipt:
    return replace(receipt_of("completed"), spend={"rudeness": {"spent": spent, "of": of, "mode": mode}})


def test_the_bar_is_the_share_of_the_budget_that_was_spent() -> None:
    assert "████████░░░░░░░░  spent 0.5 of 1" in drawn(table(with_spend(0.5, 1.0)))
    assert "░░░░░░░░░░░░░░░░  spent 0 of 0" in drawn(table(with_spend(0.0, 0.0)))


def test_an_overdrawn_budget_has_a_full_bar_even_where_nothing_was_allowed() -> None:
    assert "████████████████  spent 0.436 of 0 (shadow)" in drawn(table(with_spend(0.436, 0.0, "shadow")))
    assert "████████████████  spent 3 of 1" in drawn(table(with_spend(3.0, 1.0, "shadow")))


def test_a_shadow_budget_is_marked_in_one_line_too() -> None:
    assert drawn(line(with_spend(0.436, 0.0, "shadow"))).strip() == "completed (stop) · rudeness 0.436/0 (shadow)"


def test_the_highest_score_is_that_of_the_charges() -> None:
    guardrail = scripted_guardrail({(0, 0): RUDE}, compiled(POLITE.replace("every: 4", "every: 4, mode: shadow")))
    *_, last = guardrail.stream(CONVERSATIONS["completed"].ask())
    assert last.receipt is not None
    assert "highest score 1.00" in drawn(table(last.receipt))


def test_the_ladder_is_told() -> None:
    assert "fallbacks: closing message" in drawn(table(receipt_of("ended")))
    assert "fallbacks" not in drawn(table(receipt_of("completed")))


def test_a_cost_model_that_was_skipped_is_told() -> None:
    skipped = replace(receipt_of("completed"), fail_open=("rude",))
    assert "not judged by: rude" in drawn(table(skipped))


def test_an_unguarded_answer_says_so() -> None:
    assert "completed (stop, unguarded)" in drawn(table(receipt_of("unguarded")))


def test_patterns_that_matched_are_named_and_not_what_they_matched() -> None:
    drawn_text = drawn(table(replace(receipt_of("completed"), fired={"codes": ("card-number", 2)})))
    assert "matched codes: card-number, codes.patterns[2]" in drawn_text
    assert "matched rude.patterns[0]" in drawn(table(receipt_of("refused")))
    assert "matched" not in drawn(table(receipt_of("completed")))


def test_a_recited_document_is_named_with_its_characters() -> None:
    receipt = replace(receipt_of("completed"), sources=(QuotedSource("leak.txt", 3, 70),))
    assert "word for word in leak.txt (characters 3 to 70)" in drawn(table(receipt))


def test_what_the_room_ended_is_told() -> None:
    told = drawn(table(replace(receipt_of("completed"), bounded=("/calls/0/arguments/text", ""))))
    assert "perhaps cut short by --max-tokens: /calls/0/arguments/text, all of it" in told
    assert "cut short" not in drawn(table(receipt_of("completed")))
