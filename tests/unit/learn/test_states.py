"""Running means of hidden states: those a guard sees while the answer is written, kept between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.learn.fitting import states as feature_cache
from ig_guardrail.learn.fitting.states import NEUTRAL_PROMPT, cached_means, read_means, token_ids
from tests.conformance.engine.tiny import tiny_weights

PAIRS = [("Say hello.", "the rain in the inn " * 4), ("", "a tweet"), ("Say nothing.", ""), ("Hm?", "than the thin")]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return tiny_weights(context=512)


def test_a_mean_is_that_of_the_models_own_hidden_states(weights: Weights) -> None:
    before, after = token_ids(chat_of(weights.tokenizer), *PAIRS[0])
    with torch.inference_mode():
        output = weights.model(torch.tensor([[*before, *after]]), output_hidden_states=True)
    (means,) = read_means(weights, PAIRS[:1], (1,))
    for point, value in zip(means.points, means.values, strict=True):
        states = output.hidden_states[1][0, len(before) : len(before) + point]
        assert value[0] == pytest.approx(states.mean(dim=0).numpy(), abs=1e-5)


def test_neighbours_in_a_batch_do_not_change_a_mean(weights: Weights) -> None:
    together = read_means(weights, PAIRS, (1, 2))
    for pair, means in zip(PAIRS, together, strict=True):
        (alone,) = read_means(weights, [pair], (1, 2))
        assert means.points == alone.points
        assert means.values == pytest.approx(alone.values, abs=1e-5)


def test_an_empty_answer_has_one_look_at_nothing(weights: Weights) -> None:
    (means,) = read_means(weights, [("Say nothing.", " ")], (1, 2))
    assert means.points == (0,)
    assert means.values.shape == (1, 2, 32)
    assert not means.values.any()


def test_a_text_without_prompt_answers_a_neutral_one(weights: Weights) -> None:
    chat = chat_of(weights.tokenizer)
    assert token_ids(chat, " ", "a tweet") == token_ids(chat, NEUTRAL_PROMPT, "a tweet")


def test_long_answers_are_read_up_to_the_last_point(weights: Weights) -> None:
    _, after = token_ids(chat_of(weights.tokenizer), "p", "word " * 500)
    assert len(after) == 64


def test_no_hook_stays_on_the_model() -> None:
    weights = tiny_weights(context=512)
    read_means(weights, PAIRS, (1,))
    assert not any(layer._forward_hooks for layer in weights.model.model.layers)


def test_kept_means_are_not_read_again(weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_means(weights, PAIRS, (1, 2), tmp_path, lambda done, total: None)
    monkeypatch.setattr(feature_cache, "read_means", lambda *given: pytest.fail("read again"))
    again = cached_means(weights, PAIRS, (1, 2), tmp_path, lambda done, total: None)
    for one, other in zip(first, again, strict=True):
        assert one.points == other.points
        assert np.array_equal(one.values, other.values)


def test_an_interrupted_reading_goes_on_where_it_stopped(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "SHARD", 2)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_means(weights, PAIRS, (1,), tmp_path, stop)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    steps: list[tuple[int, int]] = []
    cached_means(weights, PAIRS, (1,), tmp_path, lambda done, total: steps.append((done, total)))
    assert steps == [(2, 4), (4, 4)]
    assert not list(tmp_path.glob("*.partial"))


def test_a_damaged_shard_is_read_anew(weights: Weights, tmp_path: Path) -> None:
    first = cached_means(weights, PAIRS, (1,), tmp_path, lambda done, total: None)
    (shard,) = tmp_path.glob("*.safetensors")
    shard.write_bytes(b"half")
    again = cached_means(weights, PAIRS, (1,), tmp_path, lambda done, total: None)
    assert np.array_equal(first[0].values, again[0].values)


def test_other_weights_layers_or_texts_are_other_shards(weights: Weights, tmp_path: Path) -> None:
    def keep(given: Weights, pairs: list[tuple[str, str]], layers: tuple[int, ...]) -> None:
        cached_means(given, pairs, layers, tmp_path, lambda done, total: None)

    other = Weights("other", "1" * 64, weights.model, weights.tokenizer)
    keep(weights, PAIRS, (1,))
    keep(weights, PAIRS, (2,))
    keep(other, PAIRS, (1,))
    keep(weights, PAIRS[:2], (1,))
    assert len(list(tmp_path.glob("*.safetensors"))) == 4
