"""Adopting a model: its own harmless answers set what a score counts as, once for all policies with that cost model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.assembly import guard
from ig_guardrail.cli.commands.adopt import show
from ig_guardrail.costs.adoption import adoption_folder, read_adoption
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.errors import GuardrailError, ModelError
from ig_guardrail.learn import answers as answering
from ig_guardrail.learn.adopt import AdoptionReport, adopt
from ig_guardrail.learn.thresholds import peak_scores
from ig_guardrail.policy import load_policy
from tests.conformance.engine.tiny import tiny_weights

QUESTIONS = tuple(
    f"Name {number} {things}." for things in ("men", "women", "rivers", "towns") for number in range(2, 42)
)
RATE = 0.3


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_weights(context=512)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(answering, "benign_prompts", lambda: QUESTIONS)
    monkeypatch.setattr("ig_guardrail.learn.adopt.benign_prompts", lambda: QUESTIONS)
    monkeypatch.setattr(answering, "call_form", lambda question: None)
    monkeypatch.setattr(answering, "TOKENS", 12)
    monkeypatch.setenv("IG_GUARDRAIL_DATA", str(tmp_path))


def adopted(weights: Weights) -> AdoptionReport:
    return adopt(weights, load_policy("default"), rate=RATE)


@pytest.mark.slow
def test_the_budgets_touch_as_many_harmless_answers_as_was_asked_for(weights: Weights) -> None:
    report = adopted(weights)
    assert report.served == {"help": "help-text", "tone": "tone-text"}
    assert 0 < report.found.touched.value <= report.found.touched.high <= RATE
    assert report.found.answers + report.fresh.n < len(QUESTIONS)


@pytest.mark.slow
def test_what_was_measured_is_used_by_every_policy_with_that_cost_model(weights: Weights) -> None:
    adopted(weights)
    engine = TransformersEngine(weights)
    rails = [guard(engine, load_policy(name)) for name in ("default", "observe")]
    scales = [rail.costs.by_name["help"].spec.scale for rail in rails]
    assert scales[0] == scales[1] is not None
    assert scales[0][1] == 0.69
    engine.shutdown()


@pytest.mark.slow
def test_a_measured_scale_comes_before_that_of_a_policy(weights: Weights, tmp_path: Path) -> None:
    adopted(weights)
    text = (Path("policies") / "default.yaml").read_text(encoding="utf-8")
    own = text.replace("head: harmful-help, hazards", "head: harmful-help, scale: {from: 0.5, to: 0.4}, hazards")
    (tmp_path / "own.yaml").write_text(own)
    engine = TransformersEngine(weights)
    policies = [load_policy("default"), load_policy(tmp_path / "own.yaml")]
    measured, same = (guard(engine, policy).costs.by_name["help"].spec.scale for policy in policies)
    assert measured == same is not None
    assert same != (0.5, 0.4)
    engine.shutdown()


@pytest.mark.slow
def test_an_adopted_model_is_not_warned_of(weights: Weights, caplog: pytest.LogCaptureFixture) -> None:
    engine = TransformersEngine(weights)
    guard(engine, load_policy("default"))
    assert "`ig-guardrail adopt tiny llama` sets them" in caplog.text
    adopted(weights)
    caplog.clear()
    guard(engine, load_policy("default"))
    assert caplog.text == ""
    engine.shutdown()


@pytest.mark.slow
def test_answers_are_kept_and_the_second_time_asked_for_no_more(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = adopted(weights)
    monkeypatch.setattr("ig_guardrail.learn.adopt.write_answers", None)
    assert adopted(weights).record == first.record


@pytest.mark.slow
def test_too_few_answers_for_a_rate_are_an_error(weights: Weights) -> None:
    with pytest.raises(GuardrailError, match="cannot support a threshold for 1%"):
        adopt(weights, load_policy("default"), rate=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["", "{}", '{"format": 1}', "[" * 100_000, None])
def test_a_damaged_record_is_an_error_that_names_it(weights: Weights, damage: str | None) -> None:
    adopted(weights)
    file = adoption_folder(weights.sha256, weights.numerics) / "adoption.json"
    record = json.loads(file.read_text())
    record["scales"][0]["from"] = 7
    file.write_text(json.dumps(record) if damage is None else damage)
    with pytest.raises(ModelError, match=r"adoption\.json"):
        read_adoption(weights.sha256, weights.numerics)


@pytest.mark.slow
def test_the_report_fits_a_screen_and_holds_no_text(weights: Weights, capsys: pytest.CaptureFixture[str]) -> None:
    report = adopted(weights)
    show(report, RATE)
    told = capsys.readouterr().out
    assert "help (served by help-text)  a score of" in told
    assert len(told.splitlines()) < 12
    kept = json.dumps(report.record)
    assert not any(question in kept for question in QUESTIONS)


def like_default(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = (Path("policies") / "default.yaml").read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_answers_are_scored_where_each_budget_is_charged(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[int, set[str]] = {}

    def noted(engine: Any, heads: Any, rows: Any, cache: Any, every: int = 16) -> Any:
        asked.setdefault(every, set()).update(heads)
        return peak_scores(engine, heads, rows, cache, every)

    monkeypatch.setattr("ig_guardrail.learn.adopt.peak_scores", noted)
    often = like_default(tmp_path, ("cost: help, threshold: 0.69,", "cost: help, threshold: 0.69, every: 8,"))
    adopt(weights, load_policy(often), rate=RATE)
    assert asked == {8: {"help"}, 16: {"tone"}}


@pytest.mark.slow
def test_a_budget_that_no_scale_can_set_is_named_and_nothing_is_claimed_of_it(
    weights: Weights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joined = like_default(tmp_path, ("cost: tone,", 'cost: "max(tone, tone-words)",'))
    report = adopt(weights, load_policy(joined), rate=RATE)
    assert report.record["budgets"] == ["harmful-help"]
    assert report.record["not set"] == ["toxic-tone"]
    show(report, RATE)
    told = capsys.readouterr().out
    assert "Not set, and left out of these figures: toxic-tone" in told


def test_a_policy_without_a_budget_that_a_scale_can_set_is_refused_before_anything_is_answered(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ig_guardrail.learn.adopt.write_answers", None)
    changes = (("cost: tone,", 'cost: "max(tone, tone-words)",'), ("cost: help,", 'cost: "max(help, help-words)",'))
    with pytest.raises(GuardrailError, match="no budget"):
        adopt(weights, load_policy(like_default(tmp_path, *changes)), rate=RATE)
