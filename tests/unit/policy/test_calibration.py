"""A statement beside a calibrated threshold is told where it does not hold any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.policy import load_policy
from ig_guardrail.policy.calibration import basis_of
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.workbench.traffic.rewrite import with_threshold
from tests.unit.workbench.recordings import TONE


@pytest.fixture
def calibrated(tmp_path: Path) -> str:
    """A policy whose threshold was calibrated."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "card.json").write_text('{"kind": "lexical"}')
    file = tmp_path / "tone.yaml"
    file.write_text(TONE, encoding="utf-8")
    policy = load_policy(file)
    budget = policy.budgets[0]
    note = {"rate": 0.02, "threshold": 0.4321, **basis_of(policy, budget, tmp_path)}
    return with_threshold(TONE, "tone", 0.4321, note, str(file))


def told(text: str, folder: Path) -> list[tuple[str, str, str]]:
    policy, faults = compile_text(text, str(folder / "tone.yaml"), look=True)
    assert policy is not None, faults
    return [(fault.code, fault.path, fault.label) for fault in faults if fault.code == "P152"]


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_what_was_just_calibrated_holds(calibrated: str, tmp_path: Path) -> None:
    assert told(calibrated, tmp_path) == []
    assert told(changed(calibrated, "budget: 0", "weight: 2, budget: 0"), tmp_path) == []
    assert told(TONE, tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "label"),
    [
        ("threshold: 0.4321", "threshold: 0.5", "budgets[0].threshold", "`x-calibrated` is on 0.4321"),
        ("budget: 0", "every: 4, budget: 0", "budgets[0]", "cost, hazards or `every` were others"),
        ("cost: words", "cost: 'max(words, 0.1)'", "budgets[0]", "cost, hazards or `every` were others"),
        ("model: words", "model: ./other", "budgets[0].threshold", "cost model `words` is another one now"),
    ],
)
def test_another_number_account_or_cost_model_is_told(
    calibrated: str, tmp_path: Path, old: str, new: str, path: str, label: str
) -> None:
    ((code, where, said),) = told(changed(calibrated, old, new), tmp_path)
    assert (code, where) == ("P152", path)
    assert label in said


def test_a_statement_that_names_nothing_is_left_alone(calibrated: str, tmp_path: Path) -> None:
    for note in ("by hand", "{rate: 0.02}", "[1, 2]", "{threshold: 0.4321, budget: x}"):
        text = changed(TONE, "budget: 0", f"x-calibrated: {note}, budget: 0")
        assert told(text, tmp_path) == []
    text = changed(TONE, "budget: 0", "x-calibrated: {threshold: [], budget: {}, entries: no}, budget: 0")
    assert [code for code, _, _ in told(text, tmp_path)] == ["P152"]


def test_a_changed_artifact_is_told(tmp_path: Path) -> None:
    card = tmp_path / "head" / "card.json"
    card.parent.mkdir()
    card.write_text('{"kind": "lexical"}')
    file = tmp_path / "tone.yaml"
    file.write_text(changed(TONE, "model: words", "model: ./head"), encoding="utf-8")
    policy = load_policy(file)
    note = {"threshold": 0.5, **basis_of(policy, policy.budgets[0], tmp_path)}
    text = with_threshold(file.read_text(), "tone", 0.5, note, str(file))
    assert told(text, tmp_path) == []
    card.write_text('{"kind": "lexical", "n": 2}')
    assert [code for code, _, _ in told(text, tmp_path)] == ["P152"]
