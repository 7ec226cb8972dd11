"""Warnings: said, and no obstacle."""

from __future__ import annotations

import pytest

from ig_guardrail.policy import compile_text
from ig_guardrail.policy.diagnostics.rules import rules
from tests.unit.policy.texts import edited

CASES = [
    ([('"max(help, words)"', "help"), ("prompt: {cost: words, threshold: 0.8, on_exceed: search}\n", "")], "P101 8:3"),
    ([("model: words, ", "model: words, on_error: open, ")], "P102 8:50"),
    ([("    every: 16\n", "    mode: shadow\n")], "P103 10:1"),
    ([("every: 16", "every: 64")], "P104 16:12"),
    ([("    threshold: 0.5\n", "    threshold: 1\n")], "P105 14:16"),
    ([('"max(help, words)"', '"0.5 * max(help, words)"')], "P105 14:16"),
    (
        [('"max(help, words)"', '"min(help, words)"'), ("hazards: [iwp, vcr, ncr]\n", "hazards: [iwp, vcr]\n")],
        "P105 14:16",
    ),
    ([("threshold: 0.8", "threshold: 1")], "P105 18:34"),
    ([("hazards: [iwp, vcr, ncr]\n", "hazards: [iwp, vcr]\n")], "P106 13:22"),
    ([("kind: lexical, model: words", "kind: openai, model: omni-moderation-latest")], "P107 8:3"),
    (
        [
            (
                "kind: lexical, model: words",
                "kind: guard, model: m, format: llama-guard, base_url: 'https://guard.example/v1'",
            )
        ],
        "P107 8:3",
    ),
    (
        [
            (
                "kind: pattern, hazards: [hte], patterns: ['(?i)\\bfoo\\w{0,10}', \"ba.r\"], longest_match: 32}",
                "kind: provenance, hazards: [hte], unsafe: ./a, reference: ./b, hard: 18}",
            )
        ],
        "P108 9:3",
    ),
]


@pytest.mark.parametrize(("edits", "expected"), CASES, ids=[case[1].split()[0] for case in CASES])
def test_a_doubtful_policy_works_and_is_warned_about(edits: list[tuple[str, str]], expected: str) -> None:
    policy, faults = compile_text(edited(*edits), "p.yaml")
    assert policy is not None
    assert [f"{fault.code} {fault.line}:{fault.column}" for fault in faults] == [expected]
    assert {fault.severity for fault in faults} == {"warning"}
    assert all(fault.why and fault.help for fault in faults)


def test_every_warning_has_a_case() -> None:
    warnings = {code for code, rule in rules().items() if rule.severity == "warning"}
    assert {expected.split()[0] for _, expected in CASES} == {code for code in warnings if code < "P109"}


@pytest.mark.parametrize(
    "edits", [[("every: 16", "every: 17")], [("every: 16", "every: 8")], [("every: 16", "every: 4")]]
)
def test_charge_points_that_hide_behind_the_hold_are_not_warned_about(edits: list[tuple[str, str]]) -> None:
    assert compile_text(edited(*edits), "p.yaml")[1] == ()


def test_charge_points_that_end_with_every_block_are_not_warned_about() -> None:
    assert (
        compile_text(edited(("every: 16", "every: 64"), ("candidates: 4", "candidates: 4\n  block: 128")), "p.yaml")[1]
        == ()
    )
