"""Recorded scores stand in for a model, and only for what they were recorded of."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.costs.kinds.identity import _content, identity_of
from ig_guardrail.errors import RequestError
from ig_guardrail.policy import load_policy
from ig_guardrail.types import CompiledPolicy, CostModelSpec
from ig_guardrail.workbench.cases.recordings import (
    RecordedCost,
    Recordings,
    read_recordings,
    recordings_path,
)
from ig_guardrail.workbench.cases.report import report_on
from ig_guardrail.workbench.cases.scored import Reading
from ig_guardrail.workbench.cases.suite import run_files
from tests.unit.workbench.cases.conftest import SHOP

TEXT = "Hello there, du."
ENDS = (3, 5, 5, 11, 12, 15, 16)  # seven tokens, one of which adds no character


@pytest.fixture
def cases(shop: Path) -> Path:
    """A case of a text, and what a head said of it at tokens 4 and 7; budget `talk` asks at the end alone."""
    file = shop.with_name("shop_test.yaml")
    expect = "{outcome: denied, budget: tone, charge_point: 7}"
    file.write_text(f"cases: [{{name: one, answer: '{TEXT}', expect: {expect}}}]\n", encoding="utf-8")
    found = Recordings("toy")
    found.costs["tone"] = RecordedCost(
        identity_of(_tone(load_policy(shop)), shop.parent), "block", "level", 0, None, "tone"
    )
    found.note_text(TEXT, ENDS)
    found.note_scores("tone", Reading(TEXT[:11], 1, 0, False), (0.1,))
    found.note_scores("tone", Reading(TEXT, 2, 11, True), (0.9,))
    found.note_scores("tone", Reading(TEXT, 1, 0, True), (0.9,))
    found.write(recordings_path(str(file)))
    return file


def _tone(policy: CompiledPolicy) -> CostModelSpec:
    return next(spec for spec in policy.cost_models if spec.name == "tone")


def ran(cases: Path) -> str:
    return report_on(run_files([str(cases)]), None, cover=False).as_text()


def test_a_case_runs_on_recorded_tokens_and_scores(cases: Path) -> None:
    assert ran(cases) == "1 case: 1 passed"


def test_what_was_written_is_read_again(cases: Path) -> None:
    path = recordings_path(str(cases))
    before = path.read_bytes()
    read_recordings(path).write(path)
    assert path.read_bytes() == before


def test_no_text_is_in_a_recording(cases: Path) -> None:
    assert "Hello" not in recordings_path(str(cases)).read_text(encoding="utf-8")


def test_a_recording_of_another_head_is_stale(cases: Path, shop: Path) -> None:
    shop.write_text(SHOP.replace("head: toxic-tone", "head: harmful-help"), encoding="utf-8")
    assert "the recorded scores of `tone` are stale" in ran(cases)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("shop_test.yaml", "there", "you", "the text is not among the recorded ones"),
        ("shop.yaml", "every: 4", "every: 3", "nothing is recorded of `tone` at this charge point"),
        ("shop.yaml", "toxic-tone, hazards", "toxic-tone, on_error: open, hazards", "1 passed"),
    ],
)
def test_what_was_not_recorded_is_no_score(file: str, old: str, new: str, said: str, cases: Path) -> None:
    changed = cases.with_name(file)
    changed.write_text(changed.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert said in ran(cases)


def test_a_missing_score_is_an_error_whatever_is_expected(cases: Path, shop: Path) -> None:
    text = cases.read_text(encoding="utf-8")
    cases.write_text(
        text.replace("{outcome: denied, budget: tone, charge_point: 7}", "{outcome: failed}"), encoding="utf-8"
    )
    shop.write_text(SHOP.replace("every: 4", "every: 3").replace("toxic-tone,", "toxic-tone, on_error: open,"))
    assert "1 error" in ran(cases)


def test_a_change_of_threshold_needs_no_new_recording(cases: Path, shop: Path) -> None:
    shop.write_text(SHOP.replace("threshold: 0.5, budget: 0.2", "threshold: 0.95, budget: 0.2"), encoding="utf-8")
    assert "outcome: expected denied, found completed" in ran(cases)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[1]\n",
        b'{"format": "other"}\n',
        b'{"format": "ig-guardrail/scores/v1", "model": "m"}\n{"cost": "tone", "key": "k", "scores": [2]}\n',
        b'{"format": "ig-guardrail/scores/v1", "model": "m"}\n{"text": "t", "ends": [3, 1]}\n',
        b'{"format": "ig-guardrail/scores/v1", "model": "m"}\n{"text": "t"}\n',
    ],
)
def test_a_broken_recording_is_refused(content: bytes, cases: Path) -> None:
    path = recordings_path(str(cases))
    path.write_bytes(content)
    with pytest.raises(RequestError, match="the recorded scores cannot be read"):
        read_recordings(path)
    assert "unusable file" in ran(cases)


def test_an_artifact_is_known_by_what_is_in_it(shop: Path, tmp_path: Path) -> None:
    spec = _tone(load_policy(shop))
    folder = tmp_path / "head"
    folder.mkdir()
    (folder / "card.json").write_text("{}", encoding="utf-8")
    own = CostModelSpec("tone", "latent", ("hte",), {"head": str(folder)}, 2.0)
    before = identity_of(own, tmp_path)
    assert before != identity_of(spec, tmp_path)
    (folder / "card.json").write_text("{ }", encoding="utf-8")
    assert identity_of(own, tmp_path) != before


def test_kinds_that_share_a_name_have_packaged_artifacts_of_their_own() -> None:
    policy = load_policy("default")
    head, text = (next(spec for spec in policy.cost_models if spec.name == name) for name in ("tone", "tone-text"))
    assert head.options["head"] == text.options["head"]
    files = [_content(text.options["head"], kind, None) for kind in ("latent", "encoder")]
    assert files[0] != files[1]
    assert [name for name, _ in files[1]] == ["CARD.md", "card.json", "head.safetensors"]
