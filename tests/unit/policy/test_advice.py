"""What faults say: the message, the words beside the carets, and the advice."""

from __future__ import annotations

import pytest

from ig_guardrail.policy import Diagnostic
from tests.unit.policy.texts import edited, faults_of

SAID = [
    ("    threshold: 0.5\n", "    thresold: 0.5\n", "unknown key `thresold`", "write `threshold`"),
    ("allow_unguarded: false", "hold: 16", "unknown key `hold`", "`hold` is a key of the search"),
    ("budget: 0.05", "budget: -1.5", "`budget` is negative", "to ban the hazard, write `budget: 0`"),
    ("threshold: 0.8", "threshold: 80", "`threshold` is too large", "write a share of 1: for 50 percent, 0.5"),
    ("threshold: 0.8", "threshold: 80%", "`threshold` is not a number", "write a share of 1: 0.8"),
    ("    threshold: 0.5\n", "    threshold: 0,5\n", "`threshold` is not a number", "write a point: 0.5"),
    ("threshold: 0.8", "threshold: 0,8", "unknown key `8`", "for a fraction write a point, such as 0.5"),
    ('    threshold: 0.5', '    threshold: "0.5"', "`threshold` is not a number", "write 0.5 without quotes"),
    ("every: 16", "every: 010", "`every` is not a number", "write 10: with a leading 0, YAML 1.1 counts in eights"),
    ("allow_unguarded: false", "allow_unguarded: no", "`allow_unguarded` is `no`", "write `false`, without quotes"),
    ("name: support-bot", "name: Support Bot", "`Support Bot` is not a name", "write `support-bot`"),
    ("version: 1.2.3", "version: 1.2", "`1.2` is not a version of three numbers", "write `1.2.0`"),
    ("allow_unguarded: false", 'tools: {deny: [""]}', "`` is not a tool's name, with `*` for any characters",
     "write a tool's name, with `*` for any characters, such as `delete_*`"),
    ("en-GB:", "xx:", "`xx` is not a language tag", "write a language tag, such as `pt-BR`"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: ncr\n", "`hazards` is a single value", "write [ncr]"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: [hate]\n", "there is no hazard `hate`", "did you mean `hte` (hate)?"),
    ("hazards: [iwp, vcr, ncr]\n", "hazards: [s2]\n", "there is no hazard `s2`",
     "did you mean `S2` (non-violent crimes)?"),
    ("help: {kind: latent", "help: {kind: latnet", "there is no kind `latnet` of cost model", "did you mean `latent`?"),
    ('"max(help, words)"', '"max(help, wrods)"', "there is no cost model `wrods`", "did you mean `words`?"),
    ("prompt: {cost: words", "prompt: {cost: help", "the prompt check cannot use `help`",
     "name a cost model that reads text: `words`, `slurs`"),
    ("weight: 2", "scope: user", "`scope` is `user`", "write `response`, `conversation`, `tool` or `tenant`"),
    ("weight: 2", "tool: pay", "`tool` says whose calls are charged, and scope `response` does not ask",
     "delete `tool`"),
    ("search:\n", "search:\n  method: resample\n", "unknown key `method`", "write `strategy`"),
    ("beams: 2", "beams: 8", "`beams` is 8, but `candidates` is 4", "write `beams: 4`, or raise `candidates`"),
    ("closing: {en:", "closing: {de:", "`closing` has no English text",
     'add `en: "Let me stop here. Please feel free to ask me something else, and I will be happy to help."`'),
    ('"mean(tone, 0.5 * slurs)"', "mean(tone, slurs)", "`cost` cannot be read",
     "add `)`; if it holds a comma, put the expression in quotes"),
]  # fmt: skip


def only(text: str) -> Diagnostic:
    (fault,) = faults_of(text)
    return fault


@pytest.mark.parametrize(("old", "new", "message", "advice"), SAID)
def test_a_fault_says_what_is_wrong_and_what_to_write(old: str, new: str, message: str, advice: str) -> None:
    fault = only(edited((old, new)))
    assert fault.message == message
    assert fault.help == advice


def test_a_number_out_of_range_names_range_and_unit() -> None:
    assert only(edited(("budget: 0.05", "budget: -1"))).label == "needs 0 to 1000000 (accumulated cost of one answer)"
    assert only(edited(("weight: 2", "weight: 0"))).label.startswith("needs more than 0, at most 100 (cost")


def test_an_unknown_version_says_which_is_known() -> None:
    assert only(edited(("ig-guardrail/v1", "ig-guardrail/v2"))).label == "needs `ig-guardrail/v1`"


def test_a_message_is_named_with_the_pattern_that_it_matches() -> None:
    fault = only(edited(('"I will stop here."', '"No foolish things."')))
    assert fault.message == "the closing message contains `foolish`"
    assert fault.label == "a match of cost model `slurs`, line 9"


def test_the_place_in_an_expression_is_the_word_itself() -> None:
    fault = only(edited(('"max(help, words)"', '"max(help, wrods)"')))
    assert (fault.line, fault.column, fault.length) == (13, 22, len("wrods"))


def test_the_place_in_an_expression_with_escapes_is_given_in_characters() -> None:
    fault = only(edited(('"max(help, words)"', r'"max(help,\x20-)"')))
    assert (fault.line, fault.column) == (13, 11)
    assert fault.label == "there is no `-` (at character 11)"
