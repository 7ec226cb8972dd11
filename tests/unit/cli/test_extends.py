"""Every command of policy authors on a policy that extends another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ig_guardrail.policy import load_policy
from tests.documents import ROOT, blocks
from tests.unit.cli.conftest import Command

PAGE = ROOT / "docs" / "workbench.md"


@pytest.fixture
def branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The policy of the page."""
    (text,) = (block.text for block in blocks(PAGE, "yaml") if block.rest == "file=branch.yaml")
    (tmp_path / "branch.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return "branch.yaml"


def test_the_page_shows_what_is_refused(ig: Command, branch: str) -> None:
    Path(branch).write_text(Path(branch).read_text().replace("threshold: 0.3", "threshold: 0.5"))
    (shown,) = (block.text for block in blocks(PAGE, "text") if "P052" in block.text)
    ran = ig("policy", "check", branch)
    assert ran.code == 1
    assert shown in ran.out


def test_faults_and_reports_of_other_programs_name_the_right_file(ig: Command, branch: str, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(Path(branch).read_text().replace("threshold: 0.3", "threshold: x"))
    Path(branch).write_text(
        "apiVersion: ig-guardrail/v1\nkind: SafetyPolicy\nmetadata: {name: b, version: 1.0.0}\nextends: base.yaml\n"
    )
    (found,) = json.loads(ig("policy", "check", branch, "--format", "json").out)["files"]
    assert [(one["file"], one["line"], one["code"]) for one in found["faults"]] == [
        ("branch.yaml", 4, "P050"),
        ("base.yaml", 8, "P016"),
    ]
    sarif = json.loads(ig("policy", "check", branch, "--format", "sarif").out)["runs"][0]["results"]
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in sarif]
    assert places == ["branch.yaml", "base.yaml"]


def test_the_whole_is_shown_and_means_the_same(ig: Command, branch: str) -> None:
    whole = ig("policy", "show", "--flat", branch).out
    Path("whole.yaml").write_text(whole)
    assert "extends" not in whole
    assert load_policy("whole.yaml").sha256 == load_policy(branch).sha256
    assert ig("policy", "diff", branch, "whole.yaml").code == 0
    assert ig("policy", "show", branch).out == Path(branch).read_text()


def test_a_comparison_with_the_parent_tells_what_is_stricter(ig: Command, branch: str) -> None:
    ran = ig("policy", "diff", "strict", branch)
    assert ran.code == 1
    assert "B denies all that A denies (proved), and more" in ran.out


def test_what_each_file_says_is_told_to_programs(ig: Command, branch: str) -> None:
    found = json.loads(ig("policy", "explain", branch, "--format", "json").out)["origins"]
    assert {"place": "budgets.harmful-help.threshold", "value": "0.3", "file": branch, "line": 8} in found
    assert json.loads(ig("policy", "explain", "strict", "--format", "json").out)["origins"] == []


def test_cases_and_scores_are_of_the_whole(ig: Command, branch: str) -> None:
    Path("branch_test.yaml").write_text(
        "cases:\n"
        "  - {name: a, answer: 1234-5678., scores: [{tone: 0, help: 0, words: 0}], expect: {budget: privacy}}\n"
        "  - {name: b, answer: Hi., scores: [{tone: 0, help: 0.35, words: 0}], expect: {budget: harmful-help}}\n"
    )
    ran = ig("policy", "test", "branch_test.yaml")
    assert "2 passed" in ran.out, ran.out


def test_a_policy_is_begun_that_extends_another(ig: Command, tmp_path: Path) -> None:
    ran = ig("policy", "new", str(tmp_path / "shop"), "--from", "strict", "--extend")
    assert ran.code == 0, ran.out
    assert "8 passed" in ran.out
    policy, parent = load_policy(tmp_path / "shop" / "policy.yaml"), load_policy("strict")
    assert (policy.name, policy.budgets) == ("shop", parent.budgets)
