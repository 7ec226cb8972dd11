"""Thresholds are set on answers read through the engine, as a guard reads them, and noted in the cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.learn import thresholds as module
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.heads import train_head
from ig_guardrail.learn.thresholds import peak_scores, set_thresholds
from tests.conformance.engine.tiny import tiny_weights
from tests.unit.learn.small import write_benign, write_rows

WEIGHTS = tiny_weights(context=512)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(WEIGHTS)
    yield engine
    engine.shutdown()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data")
    return [write_rows(folder / "rows.jsonl", "HateCheck", count=12), write_benign(folder / "benign.jsonl", count=90)]


@pytest.fixture(scope="module")
def heads(data: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    train_head(WEIGHTS, data, folder / "toxic-tone", "toxic-tone", folder / "cache")
    train_head(WEIGHTS, data, folder / "words", "words", folder / "cache")
    return folder


@pytest.mark.slow
def test_thresholds_touch_few_answers_and_are_noted_in_every_card(
    engine: TransformersEngine, data: list[Path], heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGETS", {"tone": ("toxic-tone", "words")})
    found = set_thresholds(engine, data[1:], heads)
    assert found.touched.value <= 0.05
    for folder in ("toxic-tone/float32", "words"):
        card = json.loads((heads / folder / "card.json").read_text())
        noted = card["calibrated"]
        assert noted["thresholds"] == {"tone": round(found.thresholds["tone"], 4)}
        assert noted["answers"] == found.answers
        assert "## Calibrated" in (heads / folder / "CARD.md").read_text()
    assert engine.live_nodes() == 0


def test_a_peak_is_the_highest_score_at_a_charge_point(engine: TransformersEngine, heads: Path) -> None:
    head = module._head("words", engine, heads)
    kind, rude = "here is a warm soup " * 6, "you zog you blarg "
    rows = [LabelledRow("q", kind, "safe"), LabelledRow("q", rude + kind, "harmful"), LabelledRow("q", rude, "harmful")]
    peaks = peak_scores(engine, {"words": head}, rows)["words"].max(axis=1)
    assert peaks[0] < peaks[1]
    assert np.argmin(peaks) == 0
