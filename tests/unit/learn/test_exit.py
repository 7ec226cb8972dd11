"""An early exit learns to say what the whole model says, and belongs to the model it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ig_guardrail.assembly import read_exit
from ig_guardrail.costs.kinds.base import EngineFacts
from ig_guardrail.engine.early_exit.layers import raw_exit
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.errors import GuardrailError, HeadMismatch, ModelError, RequestError
from ig_guardrail.learn.early_exit import States, agreement, fit_exit, reading_of, recorded_states, train_exit
from ig_guardrail.learn.heads import Trained
from tests.conformance.engine.tiny import tiny_weights
from tests.unit.learn.small import write_benign, write_rows


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_weights(context=512)


@pytest.fixture(scope="module")
def trained(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("exit")
    return train_exit(weights, [write_benign(folder / "benign.jsonl")], folder / "out", 1, 16, folder / "cache")


def facts(weights: Weights) -> EngineFacts:
    return EngineFacts(weights.sha256, weights.numerics)


def test_a_trained_exit_agrees_with_the_model_more_often_than_the_raw_one(trained: Trained) -> None:
    quality = trained.card["quality"]
    assert quality["trained exit agrees"]["value"] > quality["raw exit agrees"]["value"]


@pytest.mark.slow
def test_what_it_is_shown_often_it_says_as_the_model_does(weights: Weights, tmp_path: Path) -> None:
    exchanges = [(f"question {number}", "the garden is calm today") for number in range(4)]
    seen, read_out = recorded_states(weights, exchanges, 1, tmp_path, lambda *_: None), reading_of(weights.model)
    often = States(seen.lower.repeat(100, 1), seen.last.repeat(100, 1))
    learned = fit_exit(often, 1, 16, read_out, lambda *_: None)
    raw = agreement(raw_exit(1, 32), seen, read_out).value
    assert agreement(learned, seen, read_out).value > raw + 0.2


def test_what_is_written_is_what_was_learned(trained: Trained, weights: Weights, tmp_path: Path) -> None:
    way_out = read_exit(trained.folder, facts(weights))
    assert (way_out.layer, way_out.rank) == (1, 16)
    states = recorded_states(weights, [("question 2", "thank you my dear friend")], 1, tmp_path, lambda *_: None)
    brought, raw = way_out(states.lower), raw_exit(1, 32)(states.lower)
    assert (brought - states.last).square().mean() < (raw - states.last).square().mean()


@pytest.mark.parametrize("changed", [{"model_sha256": "1" * 64}, {"numerics": "bfloat16"}])
def test_it_is_refused_beside_another_model_or_numerics(
    trained: Trained, weights: Weights, changed: dict[str, str]
) -> None:
    with pytest.raises(HeadMismatch, match="the exit was trained on"):
        read_exit(trained.folder, replace(facts(weights), **changed))


def test_a_folder_with_something_else_is_refused(trained: Trained, weights: Weights, tmp_path: Path) -> None:
    for name in ("card.json", "head.safetensors"):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    card = json.loads((tmp_path / "card.json").read_text())
    del card["base_model"]["layer"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="unfit"):
        read_exit(tmp_path, facts(weights))
    (tmp_path / "card.json").write_text(json.dumps({**card, "kind": "latent"}))
    with pytest.raises(ModelError, match="not 'exit'"):
        read_exit(tmp_path, facts(weights))


def test_a_recording_goes_on_where_it_stopped(weights: Weights, tmp_path: Path) -> None:
    exchanges = [(f"question {number}", "here is a warm soup") for number in range(20)]
    seen: list[int] = []

    def stop(done: int, _total: int) -> None:
        seen.append(done)
        if len(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorded_states(weights, exchanges, 1, tmp_path, stop)
    (kept,) = tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    states = recorded_states(weights, exchanges, 1, tmp_path, stop)
    assert (seen, kept.stat().st_mtime_ns) == ([16, 16, 20], written)
    again = recorded_states(weights, exchanges, 1, tmp_path, lambda *_: None)
    assert torch.equal(states.lower, again.lower)
    assert torch.equal(states.last, again.last)


def test_an_adapter_that_has_nothing_to_learn_does_no_harm(weights: Weights) -> None:
    same = torch.randn(40, 32, generator=torch.Generator().manual_seed(0))
    states, read_out = States(same, same), reading_of(weights.model)
    learned = fit_exit(states, 1, 4, read_out, lambda *_: None)
    assert torch.allclose(learned(same), same, atol=0.2)
    assert agreement(learned, states, read_out).value > 0.9


@pytest.mark.parametrize(("layer", "rank"), [(0, 4), (2, 4), (1, 0)])
def test_an_exit_that_cannot_be_is_refused(weights: Weights, tmp_path: Path, layer: int, rank: int) -> None:
    with pytest.raises(RequestError, match=r"layer is|rank is"):
        train_exit(weights, [write_benign(tmp_path / "benign.jsonl")], tmp_path / "out", layer, rank, tmp_path)


def test_it_learns_from_the_models_own_answers_only(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(GuardrailError, match="none of the model's own answers"):
        train_exit(weights, [write_rows(tmp_path / "rows.jsonl", "others")], tmp_path / "out", 1, 4, tmp_path)
