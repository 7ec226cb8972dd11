"""The policies from briefs in examples/policies: they pass their check and their cases, without a model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from ig_guardrail.policy import load_policy
from tests.documents import ROOT, commands
from tests.unit.cli.conftest import Command

FOLDER = ROOT / "examples" / "policies"
BRIEFS = sorted(one for one in FOLDER.iterdir() if one.is_dir())
SLOW = ("--deep", "ig-guardrail run")  # commands that need a model


@pytest.mark.parametrize("brief", BRIEFS, ids=lambda one: str(one.name))
def test_a_brief_passes_its_check_and_its_cases_which_try_all_of_it(brief: Path, ig: Command) -> None:
    checked = ig("policy", "check", "--strict", str(brief))
    assert checked.code == 0, checked.out
    tested = ig("policy", "test", "--coverage", "--require", "100", str(brief))
    assert tested.code == 0, tested.out


def test_commands_of_the_page_do_what_it_says(ig: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lines = [one.line for one in commands(FOLDER / "README.md") if one.line.startswith("ig-guardrail")]
    quick = [shlex.split(line)[1:] for line in lines if not any(word in line for word in SLOW)]
    assert [(words[1], ig(*words).code) for words in quick] == [
        ("check", 0), ("test", 0), ("explain", 0), ("score", 0), ("diff", 1),
    ]  # fmt: skip


def test_the_rules_of_the_bank_are_for_tools_and_arguments_that_there_are() -> None:
    rules = yaml.safe_load((FOLDER / "bank" / "policy.yaml").read_text(encoding="utf-8"))["tools"]
    listed = json.loads((FOLDER / "bank" / "tools.schema.json").read_text(encoding="utf-8"))
    tools: dict[str, Any] = {one["function"]["name"]: one["function"]["parameters"]["properties"] for one in listed}
    assert set(rules["allow"]) == set(tools)
    assert {rule["tool"] for rule in rules["limits"]} <= set(tools)
    assert all(rule["argument"] in tools[rule["tool"]] for rule in rules["arguments"])


def test_from_week_1_to_week_5_one_budget_is_enforced_and_no_number_changes() -> None:
    before, after = (load_policy(FOLDER / "observe-first" / f"{week}.yaml") for week in ("week-1", "week-5"))
    assert {one.mode for one in before.budgets} == {"shadow"}
    assert [one.id for one in after.budgets if one.mode == "enforce"] == ["contact"]
    numbers = [[(one.id, one.cost, one.threshold, one.budget) for one in policy.budgets] for policy in (before, after)]
    assert numbers[0] == numbers[1]
