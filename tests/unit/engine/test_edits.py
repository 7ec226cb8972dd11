"""Gradient steps on hidden states, and what an edit does to a model, computed without the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ig_guardrail.costs.heads.state_edits import LinearValue, ValueAscent, away_from
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Draw, Message, Sampling
from tests.conformance.engine.tiny import tiny_weights

WEIGHT = np.linspace(-1, 1, 32)


def test_the_gradient_of_a_linear_value_is_its_weight_at_every_step() -> None:
    states = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    moved = ValueAscent(1, LinearValue(WEIGHT), steps=30, step_size=0.5).edited(states)
    assert torch.allclose(moved, states + 15 * torch.tensor(WEIGHT, dtype=torch.float32), atol=1e-4)


def test_a_cost_head_is_walked_down() -> None:
    states = torch.zeros(1, 1, 32)
    with torch.inference_mode():
        moved = away_from(1, WEIGHT).edited(states)
    assert float(moved[0, 0] @ torch.tensor(WEIGHT, dtype=torch.float32)) == pytest.approx(-15 * (WEIGHT**2).sum())


def test_a_deep_value_rises_and_each_state_follows_its_own_gradient() -> None:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
    value = lambda states: head(states)[:, 0]  # noqa: E731
    states = torch.randn(1, 4, 32)
    with torch.inference_mode():
        moved = ValueAscent(1, value, steps=5, step_size=0.1).edited(states)
        alone = ValueAscent(1, value, steps=5, step_size=0.1).edited(states[:, 1:2])
        assert bool((value(moved[0]) > value(states[0])).all())
    assert torch.allclose(moved[:, 1:2], alone, atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_an_edited_answer_is_the_one_of_a_model_whose_layer_gives_edited_states(architecture: str) -> None:
    """Greedy, by whole forwards over prompt and answer, with the layer's output changed from the prompt's end on."""
    weights = tiny_weights(architecture=architecture)
    engine = TransformersEngine(weights)
    edit, end = away_from(1, WEIGHT / 8), weights.tokenizer.eos_token_id
    prompt = engine.encode((Message("user", "Tell me about the sea."),))
    root = engine.open(prompt, Sampling(temperature=0, logit_bias=((end, -1e4),))).result()
    twin = engine.open(prompt, Sampling(temperature=0, logit_bias=((end, -1e4),)), twin_of=root, edit=edit).result()
    (told,) = engine.extend([Draw(twin)], 12).result()
    (plain,) = engine.extend([Draw(root)], 12).result()
    assert told.ids == greedy(Model(weights.model), list(prompt.ids), edit, end, 12)
    assert told.ids != plain.ids
    engine.shutdown()


@torch.inference_mode()
def greedy(model: Model, prompt: list[int], edit: ValueAscent, end: int, count: int) -> tuple[int, ...]:
    def change(_module: object, _inputs: object, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[:, len(prompt) - 1 :] -= 15 * torch.tensor(WEIGHT / 8, dtype=torch.float32)
        return changed

    hook = model.layers[edit.layer - 1].register_forward_hook(change)
    tokens = list(prompt)
    for _ in range(count):
        logits = model.source(input_ids=torch.tensor([tokens])).logits[0, -1]
        logits[end] = -1e4
        tokens.append(int(logits.argmax()))
    hook.remove()
    return tuple(tokens[len(prompt) :])
