"""All faults come in one report, and one cause gives one fault."""

from __future__ import annotations

from ig_guardrail.policy import compile_text
from tests.unit.policy.texts import VALID, edited, faults_of, places


def test_faults_of_every_layer_come_together_in_the_order_of_the_file() -> None:
    text = edited(
        ("name: support-bot", "name: Support"),
        ("hazards: [ncr, vcr, iwp]", "hazards: [ncr, vcr, bombs]"),
        ("    threshold: 0.5\n", "    thresold: 0.5\n"),
        ("budget: 0.05", "budget: .nan"),
        ("    every: 16\n", "    every: 16\n    every: 32\n"),
        ("prompt: {cost: words", "prompt: {cost: tone"),
        ("beams: 2", "beams: 8"),
        ("closing: {en:", "closing: {de:"),
        ("allow_unguarded: false", "allow_unguarded: off"),
    )
    codes = [fault.code for fault in faults_of(text)]
    assert codes == ["P020", "P022", "P013", "P018", "P007", "P030", "P031", "P036", "P017"]
    assert [fault.line for fault in faults_of(text)] == [3, 6, 14, 15, 17, 19, 24, 30, 31]


def test_a_misspelt_required_key_is_not_also_missing() -> None:
    assert places(faults_of(edited(("cost_models:", "cost_model:")))) == [("P013", 5, 1)]


def test_missing_cost_models_do_not_make_every_expression_wrong() -> None:
    start, end = VALID.index("cost_models:"), VALID.index("budgets:")
    assert places(faults_of(VALID[:start] + VALID[end:])) == [("P015", 1, 1)]


def test_a_broken_cost_model_is_still_a_declared_one() -> None:
    text = edited(("words: {kind: lexical, model: words", "words: {kind: lexicon, model: 5"))
    assert places(faults_of(text)) == [("P021", 8, 17)]


def test_a_broken_number_is_not_compared_with_others() -> None:
    text = edited(("candidates: 4", "candidates: four"), ("beams: 2", "beams: 9"))
    assert places(faults_of(text)) == [("P016", 22, 15)]


def test_a_fault_in_a_value_used_twice_through_an_alias_is_reported_once() -> None:
    text = edited(
        ("  tone: {kind: latent, head: ./heads/tone, hazards: [hte, x.insult], timeout_ms: 500}\n", "  tone: *h\n"),
        ("  help: {kind: latent", "  help: &h {kind: latent"),
        ("hazards: [ncr, vcr, iwp]}", "hazards: [ncr, vcr, hte], timeout_ms: 0}"),
    )
    assert places(faults_of(text)) == [("P014", 6, 85)]


def test_several_missing_keys_are_all_named() -> None:
    faults = faults_of(edited(("metadata: {name: support-bot, version: 1.2.3, owners", "metadata: {owners")))
    assert [fault.message for fault in faults] == ["key `name` is missing", "key `version` is missing"]


def test_another_version_of_the_language_is_the_only_fault() -> None:
    text = edited(("ig-guardrail/v1", "ig-guardrail/v7"), ("threshold: 0.8", "schwelle: 0.8"))
    assert places(faults_of(text)) == [("P012", 1, 13)]


def test_no_budgets_at_all_is_a_fault() -> None:
    start, end = VALID.index("budgets:"), VALID.index("prompt:")
    faults = faults_of(VALID[:start] + "budgets: []\n" + VALID[end:])
    assert places(faults) == [("P027", 10, 10)]
    assert faults[0].message == "`budgets` is empty"


def test_a_policy_that_is_one_word_needs_to_be_a_mapping() -> None:
    (fault,) = faults_of("hello")
    assert (fault.code, fault.line, fault.column, fault.path) == ("P016", 1, 1, "(file)")


def test_warnings_wait_until_the_errors_are_mended() -> None:
    text = edited(("weight: 2", "weight: -2"), ("model: words, ", "model: words, on_error: open, "))
    assert [fault.code for fault in faults_of(text)] == ["P014"]
    policy, faults = compile_text(text.replace("weight: -2", "weight: 2"), "p.yaml")
    assert policy is not None
    assert [(fault.code, fault.severity) for fault in faults] == [("P102", "warning")]
