"""The policies that come with the package, and the files that are generated from the language."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import yaml

from ig_guardrail.policy import check_files, compile_text, load_policy, packaged_names
from ig_guardrail.policy.reference.json_schema import json_schema
from ig_guardrail.policy.reference.page import reference
from ig_guardrail.policy.reference.text import EXAMPLE
from ig_guardrail.policy.sources import SCHEMA
from ig_guardrail.workbench.traffic.bench import open_bench
from ig_guardrail.workbench.traffic.texts import TextRow

DOCS = Path(__file__).parents[3] / "docs" / "policy.md"
POLICIES = Path(__file__).parents[3] / "policies"


def test_packaged_policies_are_valid() -> None:
    report = check_files(packaged_names())
    assert report.exit_code == 0
    assert [(one.name, [fault.code for fault in one.faults]) for one in report.files] == [
        ("default", []),
        ("education", []),
        ("fairness", []),
        ("health", []),
        ("observe", ["P103"]),
        ("paper", []),
        ("strict", []),
        ("support", []),
    ]


@pytest.mark.parametrize("name", packaged_names())
def test_packaged_policies_speak_the_language_of_their_cost_models_and_keep_the_guard_on(name: str) -> None:
    policy = load_policy(name)
    assert set(policy.messages.refusal) == set(policy.messages.closing) == {"en"}
    assert not policy.allow_unguarded
    assert all(spec.on_error == "closed" for spec in policy.cost_models)


def test_the_strict_policy_is_stricter_than_the_default() -> None:
    default, strict = load_policy("default"), load_policy("strict")
    for loose, tight in zip(default.budgets, strict.budgets, strict=True):
        assert loose.id == tight.id
        assert tight.threshold <= loose.threshold
        assert tight.budget <= loose.budget


def test_the_observing_policy_enforces_nothing_with_the_defaults_numbers() -> None:
    default, observe = load_policy("default"), load_policy("observe")
    assert {budget.mode for budget in observe.budgets} == {"shadow"}
    assert [(one.id, one.cost, one.threshold, one.budget) for one in observe.budgets] == [
        (one.id, one.cost, one.threshold, one.budget) for one in default.budgets
    ]


def test_the_papers_policy_has_the_papers_numbers() -> None:
    policy = load_policy("paper")
    (budget,) = policy.budgets
    assert (budget.budget, budget.discount, budget.accumulate) == (10, 0.999, "sum")
    assert budget.weight == budget.every == policy.search.block
    assert (policy.search.candidates, policy.search.beams, policy.search.retries) == (128, 32, 2)


def test_the_reference_is_current() -> None:
    assert DOCS.read_text(encoding="utf-8") == reference(), (
        "run: python -m ig_guardrail.policy.reference.page > docs/policy.md"
    )


def test_claims_of_calibrated_thresholds_say_what_they_rest_on_so_that_a_change_is_told() -> None:
    claims = 0
    for name in packaged_names():
        text = resources.files("ig_guardrail.policies").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        for budget in yaml.safe_load(text).get("budgets", ()):
            claim = budget.get("x-calibrated")
            if claim is not None:
                claims += 1
                assert claim.keys() >= {"rate", "confidence", "n", "threshold", "budget", "entries"}, (
                    name,
                    budget["id"],
                )
                assert claim["threshold"] == budget["threshold"]
    assert claims == 6


def test_the_schema_is_current() -> None:
    current = resources.files("ig_guardrail.policies").joinpath(SCHEMA).read_text(encoding="utf-8")
    assert current == json_schema(), "run: python -m ig_guardrail.policy.reference.json_schema > policies/schema.json"


def test_the_example_of_the_reference_is_valid() -> None:
    policy, faults = compile_text(EXAMPLE, "example.yaml")
    assert policy is not None
    assert faults == ()


@pytest.mark.parametrize("name", packaged_names())
def test_the_first_line_has_editors_read_the_schema_beside_it(name: str) -> None:
    folder = resources.files("ig_guardrail.policies")
    first = folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA}"
    assert folder.joinpath(SCHEMA).is_file()


def test_policies_are_checked_without_torch_and_pydantic() -> None:
    script = (
        "import sys\n"
        "from ig_guardrail.policy import load_policy\n"
        "load_policy('default')\n"
        "print({'torch', 'transformers', 'pydantic', 'langchain_core', 'numpy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


@pytest.mark.parametrize("name", ["default", "strict", "education", "health", "support"])
def test_messages_of_packaged_policies_pass_by_words_too_so_that_they_start_on_any_model(name: str) -> None:
    bench = open_bench(name, None)
    messages = bench.policy.messages
    texts = [*messages.refusal.values(), *messages.closing.values()]
    charges = [charge for text in texts for charge in bench.charge(TextRow(text, "message")).charges]
    assert {charge.budget for charge in charges} >= {"harmful-help", "toxic-tone"}
    assert [charge for charge in charges if charge.z_after < 0] == []


@pytest.mark.parametrize("name", ["default", "observe", "health", "support"])
def test_what_serves_for_a_head_is_set_on_the_threshold_of_its_budget(name: str) -> None:
    written = yaml.safe_load((POLICIES / f"{name}.yaml").read_text(encoding="utf-8"))
    (threshold,) = [budget["threshold"] for budget in written["budgets"] if budget["id"] == "harmful-help"]
    assert written["cost_models"]["help-text"]["scale"]["to"] == threshold
