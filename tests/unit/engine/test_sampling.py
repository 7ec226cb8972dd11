"""Sampling against a plain reference, and the promise that ranking only the head changes nothing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.engine.decoding import by_torch as module
from ig_guardrail.engine.decoding.by_torch import bias_of, sample_tokens, top_logprobs
from ig_guardrail.engine.decoding.penalties import said_tokens
from ig_guardrail.engine.scripted.script import pick, shaped
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Sampling
from tests.examples import examples

CPU = torch.device("cpu")
SETTINGS = [
    Sampling(temperature=1.0, top_p=1.0),
    Sampling(temperature=0.7, top_p=0.9),
    Sampling(temperature=1.3, top_p=1.0, top_k=5),
    Sampling(temperature=1.0, top_p=0.8, top_k=7, min_p=0.05),
    Sampling(temperature=2.0, top_p=1.0, min_p=0.3),
    Sampling(temperature=0.0),
]


def reference(logits: torch.Tensor, sampling: Sampling, uniform: float) -> int:
    """The scripted engine's pure-Python sampler on the same distribution."""
    chances = logits.double().softmax(-1).tolist()
    return pick(shaped(list(enumerate(chances)), sampling, ()), uniform)


@pytest.mark.parametrize("sampling", SETTINGS)
@given(seed=st.integers(0, 10_000), uniform=st.floats(0, 1, exclude_max=True))
@settings(max_examples=examples(40), deadline=None)
def test_it_equals_the_plain_reference(sampling: Sampling, seed: int, uniform: float) -> None:
    logits = torch.randn(40, generator=torch.Generator().manual_seed(seed)) * 2
    tokens, _ = sample_tokens(logits[None], sampling, None, [uniform])
    near = {reference(logits, sampling, min(max(uniform + nudge, 0), 1 - 1e-9)) for nudge in (-1e-6, 0, 1e-6)}
    assert tokens[0] in near


@given(seed=st.integers(0, 10_000), uniform=st.floats(0, 1, exclude_max=True), data=st.data())
@settings(max_examples=examples(60), deadline=None)
def test_penalties_equal_the_plain_reference(seed: int, uniform: float, data: st.DataObject) -> None:
    """On logits that are log-probabilities, as those of a script are."""
    penalty = st.floats(-2, 2)
    sampling = Sampling(
        temperature=data.draw(st.sampled_from([0.0, 0.7, 1.0])),
        repetition_penalty=data.draw(st.floats(0.25, 4)),
        frequency_penalty=data.draw(penalty),
        presence_penalty=data.draw(penalty),
    )
    prompt, answer = (data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=30)) for _ in range(2))
    logits = (torch.randn(40, generator=torch.Generator().manual_seed(seed)) * 2).log_softmax(-1)
    said = said_tokens(prompt, [answer], logits[None])
    tokens, _ = sample_tokens(logits[None], sampling, None, [uniform], said=said)
    options = list(enumerate(logits.double().exp().tolist()))
    places = [min(max(uniform + nudge, 0), 1 - 1e-9) for nudge in (-1e-6, 0, 1e-6)]
    shapes = shaped(options, sampling, (), prompt, answer)
    assert tokens[0] in {pick(shapes, place) for place in places} or math.isclose(*_two_best(shapes), rel_tol=1e-5)


def _two_best(options: list[tuple[int, float]]) -> tuple[float, float]:
    chances = sorted((chance for _, chance in options), reverse=True)
    return chances[0], chances[1] if len(chances) > 1 else 0.0


@pytest.mark.parametrize("sampling", SETTINGS)
@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, 30.0])
def test_ranking_the_head_gives_what_ranking_all_gives(
    sampling: Sampling, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many equal logits, as in bfloat16, and from flat to peaked."""
    logits = (torch.randn(64, 200, generator=torch.Generator().manual_seed(3)) * scale).round(decimals=1)
    uniforms = [i / 64 for i in range(64)]
    monkeypatch.setattr(module, "HEADS", (3, 40))
    quick, _ = sample_tokens(logits, sampling, None, uniforms)
    monkeypatch.setattr(module, "HEADS", (200,))
    assert quick == sample_tokens(logits, sampling, None, uniforms)[0]


def test_equal_logits_are_ranked_by_id() -> None:
    logits = torch.zeros(1, 8)
    drawn = [sample_tokens(logits, Sampling(temperature=1, top_p=1), None, [(i + 0.5) / 8])[0][0] for i in range(8)]
    assert drawn == list(range(8))
    assert top_logprobs(torch.tensor([0.0, 2.0, 1.0, 2.0]), 3) == [1, 3, 2]


def test_frequencies_follow_the_distribution() -> None:
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    uniforms = [(i + 0.5) / 1000 for i in range(1000)]
    tokens, _ = sample_tokens(chances.log().expand(1000, -1), Sampling(temperature=1, top_p=1), None, uniforms)
    assert [tokens.count(token) for token in range(4)] == [500, 300, 150, 50]


def test_log_probabilities_ignore_bias_temperature_and_filters() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    tokens, logprobs = sample_tokens(logits, Sampling(temperature=0.1, top_k=1), bias_of([(0, 50.0)], CPU), [0.5])
    assert tokens == [0]
    assert logprobs == pytest.approx([1.0 - math.log(math.e + math.e**2 + math.e**3)])


def test_biases_of_one_token_add_up() -> None:
    bias = bias_of([(2, 1.0), (0, -1.0), (2, 2.0)], CPU)
    assert bias is not None
    assert bias.add_to(torch.zeros(2, 4)).tolist() == [[-1.0, 0.0, 3.0, 0.0]] * 2
    assert bias_of([], CPU) is None


def test_half_precision_logits_are_read_in_full() -> None:
    logits = torch.randn(1, 300, generator=torch.Generator().manual_seed(1)).bfloat16()
    assert sample_tokens(logits, SETTINGS[0], None, [0.4]) == sample_tokens(logits.float(), SETTINGS[0], None, [0.4])


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error(poison: float) -> None:
    with pytest.raises(EngineError, match="logits that are not numbers"):
        sample_tokens(torch.tensor([[0.0, poison]]), Sampling(), None, [0.5])
