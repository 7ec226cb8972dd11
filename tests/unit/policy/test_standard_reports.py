"""What `check` and `test` write for other programs keeps to the formats' own rules, for whatever there is to tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.policy import check_files
from ig_guardrail.policy.diagnostics.exports import junit, sarif
from ig_guardrail.workbench.cases.report import report_on
from ig_guardrail.workbench.cases.suite import run_files
from tests.standard_reports import faults_of_junit, faults_of_sarif
from tests.unit.policy.test_doubts import policy

WAIVERS = """\
waivers:
  - {code: P144, path: allow_unguarded, reason: measured, owner: me@example.org, expires: 2999-12-31}
  - {code: P101, path: budgets, reason: "<b>&", owner: me@example.org, expires: 2020-12-31}
"""
CASES = """\
cases:
  - {name: "it <passes> & \\u00e9", answer: Hello there., scores: [{words: 0}], expect: {outcome: completed}}
  - {name: it fails, answer: Hello there., scores: [{words: 0}], expect: {outcome: denied}}
  - {name: later, answer: Hello there., todo: "]]> not yet"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Policies, cases and waivers that are right, wrong, doubtful and unreadable, under odd names."""
    (tmp_path / "p.yaml").write_text(policy(allow_unguarded="true"), encoding="utf-8")
    (tmp_path / "waivers.yaml").write_text(WAIVERS, encoding="utf-8")
    (tmp_path / "bad é <1>.yaml").write_text(policy(budgets="[]"), encoding="utf-8")
    (tmp_path / "odd\x01.yaml").write_text(policy(allow_unguarded="maybe"), encoding="utf-8")
    (tmp_path / "cut.yaml").write_text("a: [\x0c", encoding="utf-8")
    (tmp_path / "empty.yaml").write_bytes(b"\xff")
    for name in ("p_test.yaml", "bad é <1>_test.yaml", "odd\x01_test.yaml"):
        (tmp_path / name).write_text(CASES, encoding="utf-8")
    (tmp_path / "cut_test.yaml").write_text("cases: [\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("strict", [False, True])
def test_reports_of_checks(folder: Path, strict: bool) -> None:
    report = check_files([folder, folder / "none.yaml"], strict=strict)
    assert report.exit_code == 2
    assert faults_of_sarif(sarif(report)) == []
    assert faults_of_junit(junit(report)) == []


@pytest.mark.parametrize("require", [None, 100.0])
def test_reports_of_cases(folder: Path, require: float | None) -> None:
    files = sorted(map(str, folder.glob("*_test.yaml")))
    report = report_on(run_files([*files, str(folder / "none_test.yaml")]), require, cover=True)
    assert report.exit_code == 2
    assert "it fails" in report.as_junit()
    assert faults_of_sarif(report.as_sarif()) == []
    assert faults_of_junit(report.as_junit()) == []


def test_a_log_that_breaks_the_rules_is_told() -> None:
    text = sarif(check_files(["none.yaml"]))
    assert faults_of_sarif(text.replace('"level"', '"levels"'))
    assert faults_of_sarif(text.replace('"2.1.0"', '"2.0"'))
    assert faults_of_junit(junit(check_files(["none.yaml"])).replace('tests="1"', 'tests="2"'))
