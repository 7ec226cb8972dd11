"""What the commands of a policy's authors tell of messages: cases, coverage, explanations, differences, checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ig_guardrail.costs.combine import hazards_behind
from ig_guardrail.policy import compile_text
from ig_guardrail.policy.expression import parse
from ig_guardrail.stream.receipt import as_dict
from ig_guardrail.types import Budget, Expression, Messages, Piece, Sampling
from ig_guardrail.workbench.cases.report import report_on
from ig_guardrail.workbench.cases.suite import run_files
from ig_guardrail.workbench.meaning.differences import differences
from ig_guardrail.workbench.meaning.explaining import as_text, explain_policy
from ig_guardrail.workbench.meaning.receipts import as_text as told
from ig_guardrail.workbench.meaning.receipts import explain_receipt
from ig_guardrail.workbench.starting import by_words
from tests.toys import LetterCost, ask, guardrail, letters, toy_policy
from tests.unit.cli.conftest import Command
from tests.unit.messages.care import BOTH, CARE, LEAK, care, rail, receipt
from tests.unit.messages.test_approved import APPROVED, BEFORE, NAME

CASES = """
cases:
  - {name: help, answer: Just end it all., expect: {outcome: refused, message: refusal.by_hazard.ssh.en}}
  - {name: both, answer: "Blockhead, end it all.", language: de, expect: {message: refusal.by_hazard.ssh.de}}
  - {name: asked, prompt: I want to end it all., expect: {action: refuse, message: refusal.by_hazard.ssh.en}}
  - {name: other, answer: The password., language: fr, expect: {message: refusal.fr}}
  - {name: judged, message: closing.by_hazard.ssh.en, expect: {outcome: completed}}
  - {name: approved, message: refusal.by_hazard.ssh.en, expect: {outcome: completed}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "care.yaml").write_text(CARE.replace(BEFORE, APPROVED), encoding="utf-8")
    return tmp_path


def test_cases_expect_a_message_by_its_name_and_each_is_covered(folder: Path) -> None:
    file = folder / "care_test.yaml"
    file.write_text(CASES, encoding="utf-8")
    found = report_on(run_files([str(file)]), None, cover=True)
    assert "6 passed" in found.as_text()
    missing = {one for each in found.coverage for one in each.missing if one.startswith("message")}
    tried = ("refusal.by_hazard.ssh.en", "refusal.by_hazard.ssh.de", "refusal.fr", "closing.by_hazard.ssh.en")
    assert missing == {f"message `{one.name}`" for one in care().messages if one.name not in tried}
    file.write_text(CASES.replace("message: refusal.fr", "message: refusal.by_hazard.hte.en"), encoding="utf-8")
    assert (
        "expected refusal.by_hazard.hte.en, found refusal.fr"
        in report_on(run_files([str(file)]), None, cover=True).as_text()
    )


def test_a_case_that_names_no_message_is_told_with_the_ones_there_are(folder: Path) -> None:
    file = folder / "care_test.yaml"
    file.write_text(CASES.replace("message: refusal.fr", "message: refusal.by_hazard.shs.en"), encoding="utf-8")
    assert "did you mean `refusal.by_hazard.ssh.en`?" in report_on(run_files([str(file)]), None, cover=True).as_text()


def test_a_policy_and_a_receipt_are_explained() -> None:
    text = as_text(explain_policy(care()))
    assert "refusal: de, en, fr" in text
    assert "refusal where ssh (suicide and self-harm) was denied: de, en" in text
    assert "where several were denied, the first of these decides: ssh, hte, x.tools" in text
    both = told(explain_receipt(as_dict(receipt(rail(BOTH)))))
    assert f"message: {NAME}, since of what was denied (ssh, hte) this is the most severe that has a text" in both
    leak = told(explain_receipt(as_dict(receipt(rail(LEAK)))))
    assert "message: refusal.en, since prv has no text of its own" in leak
    old = {key: value for key, value in as_dict(receipt(rail(LEAK))).items() if key != "message_name"}
    assert "which message: not recorded" in told(explain_receipt(old))


def test_a_changed_message_an_approval_and_an_order_are_differences() -> None:
    other = care((BEFORE, APPROVED), ("messages:\n", "messages:\n  severity: [hte]\n"))
    changed = {one.part for one in differences(care(), other).changes}
    assert changed == {f"messages.{NAME}", f"messages.{NAME}.approved", "messages.severity"}
    assert differences(care(), care()).changes == ()


def test_a_plain_check_tells_what_words_deny_for_certain_and_lists_what_is_approved(ig: Command, folder: Path) -> None:
    file = folder / "care.yaml"
    ran = ig("policy", "check", str(file))
    assert f"approved, and held to no budget: {NAME} by crisis@example.org: read by two people" in ran.out
    words = "  words: {kind: lexical, model: words, hazards: [x.insult]}\n"
    words += "  tone: {kind: latent, head: toxic-tone, hazards: [hte]}\n"
    budget = "  - {id: words, hazards: [x.insult, hte], cost: 'max(tone, words)', threshold: 0.2}\n"
    text = (
        file.read_text().replace("budgets:\n", f"{words}budgets:\n{budget}").replace("I stop here.\n", "Stop, idiot.\n")
    )
    file.write_text(text, encoding="utf-8")
    ran = ig("policy", "check", str(file))
    assert ran.code == 1
    assert "error[P045]: messages.closing.en is over budget 'words' itself" in ran.out
    assert "; `words` 0." in ran.out
    assert "'idiot'" in ran.out
    assert f"messages.{NAME} is over" not in ran.out
    file.write_text(text.replace("threshold: 0.2}", "threshold: 0.2, mode: shadow}"), encoding="utf-8")
    ran = ig("policy", "check", str(file))
    assert ran.code == 0
    assert "warning[P146]: messages.closing.en is over budget 'words' itself, once that is enforced" in ran.out


def test_words_decide_alone_only_where_nothing_else_can_save_the_text() -> None:
    def least(cost: str, **keys: str) -> Expression | None:
        more = "".join(f", {key}: {value}" for key, value in keys.items())
        models = "words: {kind: lexical, model: words, hazards: [hte]}, "
        models += "tone: {kind: latent, head: toxic-tone, hazards: [hte]}"
        budget = f"{{id: b, hazards: [hte], cost: '{cost}', threshold: 0.5{more}}}"
        said = "refusal: {en: A.}, closing: {en: B.}"
        text = (
            "apiVersion: ig-guardrail/v1\nkind: SafetyPolicy\nmetadata: {name: a, version: 1.0.0}\n"
            f"cost_models: {{{models}}}\nbudgets: [{budget}]\nmessages: {{{said}}}\n"
        )
        policy = compile_text(text, "p.yaml", warn=False)[0]
        assert policy is not None
        found = by_words(policy).budgets
        return found[0].cost if found else None

    assert least("max(tone, words)") == parse("max(0, words)").expression
    assert least("min(tone, words)") == parse("min(0, words)").expression
    assert least("tone") is None
    assert least("words", discount="0.99", budget="1") is None


@pytest.mark.parametrize(
    ("cost", "scores", "hazards"),
    [
        ("a", {"a": {"hte": 0.9, "ssh": 0.1}}, ("hte",)),
        ("a", {"a": {"hte": 0.9, "ssh": 0.6}}, ("hte", "ssh")),
        ("max(a, b)", {"a": {"hte": 0.9}, "b": {"ssh": 0.2}}, ("hte",)),
        ("a + b", {"a": {"hte": 0.4}, "b": {"ssh": 0.4}}, ("hte", "ssh")),
        ("min(a, b)", {"a": {"hte": 0.9}, "b": {"ssh": 0.9}}, ("hte", "ssh")),
        ("min(a, b)", {"a": {"hte": 0.9, "ssh": 0.0}, "b": {"hte": 0.9}}, ("hte",)),
    ],
)
def test_hazards_are_those_that_a_score_rests_on(
    cost: str, scores: dict[str, dict[str, float]], hazards: tuple[str, ...]
) -> None:
    assert hazards_behind(parse(cost).expression, scores, ("hte", "ssh", "ncr"), 0.5) == hazards


class TwoHazards(LetterCost):
    """The share of b is rude, that of c is a crisis."""

    hazards = ("hte", "ssh")

    def advance(self, steps: list[tuple[tuple[int, int], Piece]]) -> list[tuple[tuple[int, int], tuple[float, ...]]]:  # type: ignore[override]
        return [((0, 0), (float("b" in piece.text), float("c" in piece.text))) for _, piece in steps]


@pytest.mark.parametrize(("odds", "name"), [((0, 1, 0, 0), "refusal.en"), ((0, 0, 1, 0), NAME), ((0, 1, 1, 0), NAME)])
def test_one_budget_for_several_hazards_is_answered_for_those_that_were_scored(
    odds: tuple[int, ...], name: str
) -> None:
    budget = Budget("all", ("hte", "ssh"), Expression("model", model="level"), 0.5, every=4)
    messages = Messages({"en": "[no"}, {"en": "[end"}, {"refusal": {"ssh": {"en": "[help"}}})
    policy = replace(toy_policy([budget]), messages=messages)
    one = guardrail(letters(odds), policy, {"level": TwoHazards("level")})
    *_, last = one.stream(ask(Sampling(seed=3, max_tokens=16, temperature=1.0, top_p=1.0)))
    assert last.receipt is not None
    assert last.receipt.message_name == name
