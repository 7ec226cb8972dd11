"""`ig-guardrail policy test` and `policy new`: for authors of policies, without torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.unit.cli.conftest import Command
from tests.unit.cli.test_policy import WITHOUT_TORCH


@pytest.mark.parametrize("name", ["default", "strict", "observe", "support"])
def test_a_new_policy_passes_its_check_and_its_cases(name: str, ig: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "support-bot"
    ran = ig("policy", "new", str(folder), "--from", name)
    assert ran.code == 0, ran.out
    assert "valid: support-bot 1.0.0" in ran.out
    assert re.search(r"^(\d+) cases: \1 passed$", ran.out, re.MULTILINE)
    assert ig("policy", "test", str(tmp_path), "--require", "100").code == 0
    assert ig("policy", "check", str(folder)).code == 0


def test_editors_find_the_schemas_of_a_new_policy_and_of_its_cases(ig: Command, tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    assert ig("policy", "new", str(folder)).code == 0
    for file in ("policy.yaml", "policy_test.yaml"):
        line, _, text = (folder / file).read_text(encoding="utf-8").partition("\n")
        schema = json.loads(
            (folder / line.removeprefix("# yaml-language-server: $schema=")).read_text(encoding="utf-8")
        )
        assert list(Draft7Validator(schema).iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize("name", ["y", "on", "null"])
def test_a_new_policy_may_have_a_name_that_yaml_takes_for_something_else(
    name: str, ig: Command, tmp_path: Path
) -> None:
    for folder, extend in ((tmp_path / name, ()), (tmp_path / "child" / name, ("--extend",))):
        ran = ig("policy", "new", str(folder), *extend)
        assert (ran.code, f"valid: {name} 1.0.0" in ran.out) == (0, True), ran.out


def test_waivers_and_texts_that_are_not_there_are_called_by_their_name(ig: Command, tmp_path: Path) -> None:
    assert ig("policy", "new", str(tmp_path / "bank")).code == 0
    policy, none = str(tmp_path / "bank" / "policy.yaml"), str(tmp_path / "none")
    ran = ig("policy", "check", policy, "--waivers", none)
    assert (ran.code, "the waivers `" in ran.out, "policy `" in ran.out) == (2, True, False), ran.out
    (tmp_path / "empty.jsonl").write_text("")
    ran = ig("policy", "score", policy, "--file", str(tmp_path / "empty.jsonl"))
    assert (ran.code, "it has no line" in ran.err) == (2, True)


def test_a_case_whose_call_is_written_with_keys_says_where_the_name_stands(ig: Command, tmp_path: Path) -> None:
    assert ig("policy", "new", str(tmp_path / "bank")).code == 0
    case = "cases: [{name: pay, call: {name: pay, arguments: {amount: 5}}, expect: {outcome: completed}}]"
    (tmp_path / "bank" / "policy_test.yaml").write_text(case)
    ran = ig("policy", "test", str(tmp_path / "bank"))
    assert (ran.code, "write one key alone, the name, and below it" in ran.out + ran.err) == (2, True)


def test_a_new_policy_overwrites_nothing(ig: Command, tmp_path: Path) -> None:
    assert ig("policy", "new", str(tmp_path / "bank")).code == 0
    assert "is there already" in ig("policy", "new", str(tmp_path / "bank")).err
    ran = ig("policy", "new", str(tmp_path / "My Bank"))
    assert ran.code == 2
    assert "write " + str(tmp_path / "my-bank") in ran.err
    assert "write " + str(tmp_path / "uber-uns") in ig("policy", "new", str(tmp_path / "Über uns")).err


def test_cases_run_without_torch() -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, "policy", "test", "default", "strict", "--coverage"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("(100 %)") == 2


def test_the_report_is_written_in_the_form_that_is_asked_for(ig: Command) -> None:
    assert json.loads(ig("policy", "test", "default", "--format", "json").out)["files"]
    assert json.loads(ig("policy", "test", "default", "--format", "sarif").out)["version"] == "2.1.0"
    assert ig("policy", "test", "default", "--format", "junit").out.startswith("<?xml")


@pytest.mark.parametrize("path", ["nowhere", "nowhere_test.yaml", "."])
def test_no_cases_are_no_success(path: str, ig: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ig("policy", "test", path).code == 2


def test_files_of_cases_are_no_policies(ig: Command, tmp_path: Path) -> None:
    assert ig("policy", "new", str(tmp_path / "bank")).code == 0
    found = json.loads(ig("policy", "check", str(tmp_path / "bank"), "--format", "json").out)
    assert [Path(one["path"]).name for one in found["files"]] == ["policy.yaml"]


@pytest.mark.real
@pytest.mark.slow
def test_the_packaged_cases_pass_on_scores_that_are_recorded_now(ig: Command, tmp_path: Path) -> None:
    assert ig("policy", "new", str(tmp_path / "bank")).code == 0
    recording = tmp_path / "bank" / "policy_test.scores.jsonl"
    before = recording.read_text(encoding="utf-8").splitlines()
    recording.unlink()
    assert ig("policy", "test", str(tmp_path / "bank")).code == 1
    ran = ig("policy", "test", str(tmp_path / "bank"), "--record", "--require", "100")
    assert ran.code == 0, ran.out
    after = recording.read_text(encoding="utf-8").splitlines()
    assert [line for line in after if '"scores"' not in line] == [line for line in before if '"scores"' not in line]
