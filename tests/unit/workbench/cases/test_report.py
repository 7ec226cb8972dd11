"""What cases cover, and how results are told to people and programs."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from ig_guardrail.workbench.cases.report import CaseReport, report_on
from ig_guardrail.workbench.cases.suite import run_files
from tests.unit.workbench.cases.conftest import Try

CASES = """
  - {name: fine, answer: Have a nice day., scores: [{tone: 0.1}], expect: {outcome: completed}}
  - {name: "bad <x>", answer: PIN, scores: [{tone: 0.1}], expect: {outcome: completed}}
  - {name: lost, answer: Hello., expect: {outcome: completed}}
  - {name: later, answer: Hello., todo: waits}
"""

ALL = """
  - {name: a, answer: Have a nice day., scores: [{tone: 0.1}], expect: {outcome: completed}}
  - {name: b, answer: 'PIN 1234-5678', scores: [{tone: 0.9}], language: de, expect: {outcome: refused}}
  - {name: c, answer: Fool., scores: [{tone: 0.9}], expect: {message: refusal.en}}
  - {name: d, message: closing.en, scores: [{tone: 0.1}], expect: {outcome: completed}}
  - {name: e, prompt: x, scores: [{screen: 0.1}], expect: {action: none}}
  - {name: f, prompt: x, scores: [{screen: 1}], expect: {action: refuse}}
  - {name: g, call: {refund: {amount: 5}}, scores: [{tone: 0.1}], expect: {outcome: completed}}
  - {name: h, call: {refund: {amount: 500}}, scores: [{tone: 0.1}], expect: {outcome: denied}}
  - {name: i, call: {look_up: {}}, scores: [{tone: 0.1}], expect: {outcome: completed}}
  - {name: j, call: {look_away: {}}, scores: [{tone: 0.1}], expect: {outcome: denied}}
  - {name: k, call: {pay: {}}, scores: [{tone: 0.1}], expect: {outcome: denied}}
"""


@pytest.fixture
def report(attempt: Try) -> CaseReport:
    return attempt(CASES)


def test_what_no_case_tries_is_named(report: CaseReport) -> None:
    (found,) = report.coverage
    assert "budget `tone`: a score over its threshold" in found.missing
    assert "budget `tone`: none over its threshold" not in found.missing
    assert "pattern code of `cards`: PIN" not in found.missing
    assert "pattern 0 of `cards`: \\d{4}-\\d{4}" in found.missing
    assert "tool rule deny[0]: look_away: a call that breaks it" in found.missing
    assert "message `refusal.en`" not in found.missing  # it was shown
    assert "message `refusal.de`" in found.missing


def test_all_can_be_tried(attempt: Try) -> None:
    report = attempt(ALL)
    assert report.exit_code == 0, report.as_text()
    assert report.coverage[0].missing == ()
    assert "(100 %)" in report.as_text()


@pytest.mark.parametrize("left_out", list("bdefghijk"))
def test_each_case_is_needed(left_out: str, attempt: Try) -> None:
    lines = [line for line in ALL.splitlines() if f"name: {left_out}," not in line]
    report = attempt("\n".join(lines) + "\n")
    assert report.exit_code == 0
    assert report.coverage[0].missing


def test_too_little_is_a_failure(attempt: Try, shop: Path) -> None:
    attempt("  - {name: a, answer: Fine., scores: [{tone: 0.1}], expect: {outcome: completed}}\n")
    results = run_files([str(shop.with_name("shop_test.yaml"))])
    assert report_on(results, 100, cover=False).exit_code == 1
    assert report_on(results, 5, cover=False).exit_code == 0
    short = report_on(results, 100, cover=False)
    assert "too little is tried: 19 %, and 100 % are asked for" in short.as_text()
    assert fromstring(short.as_junit())[1].get("failures") == "1"
    assert json.loads(short.as_sarif())["runs"][0]["results"][0]["ruleId"] == "coverage"


def test_json(report: CaseReport) -> None:
    told = json.loads(report.as_json())
    cases = told["files"][0]["cases"]
    assert [one["status"] for one in cases] == ["passed", "failed", "error", "todo"]
    assert cases[1]["steps"][0]["differences"] == [{"key": "outcome", "expected": "completed", "found": "refused"}]
    assert cases[1]["steps"][0]["reasons"][1] == "pattern code of `cards`: PIN matches"
    assert told["coverage"][0]["percent"] < 100


def test_sarif(report: CaseReport) -> None:
    (run,) = json.loads(report.as_sarif())["runs"]
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [("failed", "error"), ("error", "error")]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("shop_test.yaml")
    assert place["region"] == {"startLine": 4, "startColumn": 5}


def test_a_turn_that_fails_is_named_in_the_first_line(attempt: Try) -> None:
    turns = "[{answer: Hi., scores: [{tone: 0.1}]}, {answer: Fool., scores: [{tone: 0.1}], expect: {outcome: refused}}]"
    failure = fromstring(attempt(f"\n  - {{name: two, turns: {turns}}}\n").as_junit()).find(".//failure")
    assert failure is not None
    assert failure.get("message") == "turn 2, outcome: expected refused, found completed"


def test_junit(report: CaseReport) -> None:
    suite = fromstring(report.as_junit())[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"], ["skipped"]]
    assert suite[1].get("name") == "bad <x>"


def test_an_unusable_file_is_told_in_every_form(attempt: Try) -> None:
    report = attempt("  - {name: a, anwser: x}\n")
    assert json.loads(report.as_json())["files"][0]["faults"][0]["line"] == 2
    assert json.loads(report.as_sarif())["runs"][0]["results"][0]["ruleId"] == "P013"
    assert "did you mean" in report.as_junit()
