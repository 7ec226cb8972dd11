"""Two ways to compute, by torch and by numpy: they draw the same tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ig_guardrail.engine.decoding.by_numpy import ByNumpy
from ig_guardrail.engine.decoding.by_torch import ByTorch
from ig_guardrail.errors import EngineError
from ig_guardrail.types import Sampling

TORCH, NUMPY = ByTorch(torch.device("cpu")), ByNumpy()
WAYS = [
    {"temperature": 0.0},
    {"temperature": 1.0},
    {"temperature": 2.0, "top_k": 5},
    {"temperature": 0.7, "top_p": 0.95},
    {"temperature": 5.0, "top_p": 0.999},
    {"temperature": 1.3, "min_p": 0.02},
    {"temperature": 1.0, "top_k": 3000, "top_p": 0.5, "min_p": 0.001},
    {"temperature": 1.0, "repetition_penalty": 1.4, "frequency_penalty": 0.6, "presence_penalty": -0.5},
    {"temperature": 1e-40, "top_p": 0.9},
]


def logits(rows: int = 6, size: int = 2000, seed: int = 0, spread: float = 3.0) -> Any:
    """Logits with ties among them."""
    return np.random.default_rng(seed).normal(0, spread, (rows, size)).round(1).astype(np.float32)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_both_draw_the_same_tokens(way: dict[str, float]) -> None:
    sampling = Sampling(**{"top_p": 1.0, **way})
    for seed in range(20):
        raw = logits(seed=seed)
        uniforms = np.random.default_rng(100 + seed).random(len(raw)).tolist()
        uniforms[0], uniforms[1] = 0.0, 0.99
        prompt, answers = range(0, 2000, 3), [range(row, 2000, 50) for row in range(len(raw))]
        drawn = []
        for by, given in ((TORCH, torch.from_numpy(raw)), (NUMPY, raw)):
            said = by.said(prompt, answers, given) if sampling.penalises else None
            bias = by.bias([(7, 4.0), (9, -1e9), (7, 0.5)])
            drawn.append(by.sample(given, sampling, bias, uniforms, None, said))
        assert drawn[0][0] == drawn[1][0]
        assert drawn[0][1] == pytest.approx(drawn[1][1], abs=1e-4)


def test_what_is_not_allowed_is_never_drawn_and_ranks_agree() -> None:
    raw = logits()
    allowed = np.random.default_rng(3).random(raw.shape) < 0.01
    tokens, _ = NUMPY.sample(raw, Sampling(temperature=1.0, top_p=1.0), None, [0.3] * 6, allowed, None)
    assert all(allowed[row, token] for row, token in enumerate(tokens))
    assert NUMPY.likeliest(raw[0], 50) == TORCH.likeliest(torch.from_numpy(raw[0]), 50)
    few, mask = NUMPY.likeliest(raw[0], 50, allowed[:1]), torch.from_numpy(allowed[:1])
    assert few == TORCH.likeliest(torch.from_numpy(raw[0]), 50, mask)
    ids = [4, 1999, 0]
    assert NUMPY.logprobs(raw, ids) == pytest.approx(TORCH.logprobs(torch.from_numpy(raw), ids), abs=1e-4)
    ours, theirs = NUMPY.ranked(raw, ids, 3), TORCH.ranked(torch.from_numpy(raw), ids, 3)
    assert [[token for token, _ in top] for _, top in ours] == [[token for token, _ in top] for _, top in theirs]


def test_a_row_has_the_same_bits_whatever_stands_beside_it() -> None:
    raw, sampling = logits(spread=1.0), Sampling(temperature=0.9, top_p=0.8)
    tokens, logprobs = NUMPY.sample(raw, sampling, None, [0.5] * 6, None, None)
    for row in range(6):
        assert NUMPY.sample(raw[row : row + 1], sampling, None, [0.5], None, None) == ([tokens[row]], [logprobs[row]])


def test_logits_that_are_not_numbers_are_refused() -> None:
    raw = logits(1)
    for value in (np.nan, np.inf):
        raw[0, 5] = value
        with pytest.raises(EngineError, match="not numbers"):
            NUMPY.sample(raw, Sampling(), None, [0.5], None, None)
