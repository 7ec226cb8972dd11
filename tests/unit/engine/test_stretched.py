"""Positions that are stretched in long texts alone: a context is read in one way, however it grows past the border."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from ig_guardrail.engine.kv.stretched import Stretched
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Draw, Message, Sampling
from tests.conformance.engine.tiny import tiny_weights

BORDER = 40
ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.0, 1.0, 1.0],
    "long_factor": [2.0, 3.0, 5.0, 8.0],
    "original_max_position_embeddings": BORDER,
}
ASKED = (Message("user", "Why?"),)


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    weights = tiny_weights(
        architecture="phi3", rope_parameters=ROPE, original_max_position_embeddings=BORDER, sliding_window=None
    )
    engine = TransformersEngine(weights)
    yield engine
    engine.shutdown()


def plainly(engine: TransformersEngine, ids: tuple[int, ...], answer: tuple[int, ...], long: bool) -> list[float]:
    """What the model says of an answer where it reads prompt and answer at once, as a long text or as a short one."""
    model: Any = engine._model.source
    with torch.inference_mode(), Stretched(model.config).held(long):
        odds = model(torch.tensor([[*ids, *answer]])).logits[0].log_softmax(-1)
    return [float(odds[len(ids) - 1 + place, token]) for place, token in enumerate(answer)]


@pytest.mark.parametrize(("most", "long"), [(12, False), (60, True)])
def test_an_answer_is_read_in_one_way(engine: TransformersEngine, most: int, long: bool) -> None:
    prompt = engine.encode(ASKED)
    assert len(prompt.ids) + 12 <= BORDER < len(prompt.ids) + 60
    sampling = Sampling(seed=3, temperature=1.0, top_p=1.0, max_tokens=most, logit_bias=((engine_end(engine), -1e9),))
    root = node = engine.open(prompt, sampling).result()
    logprobs: list[float] = []
    while node.finish is None:
        node, _ = engine.extend([Draw(node, 2)], 7).result()
        logprobs += node.logprobs
    assert logprobs == pytest.approx(plainly(engine, prompt.ids, node.answer_ids(), long), abs=1e-3)
    assert logprobs != pytest.approx(plainly(engine, prompt.ids, node.answer_ids(), not long), abs=1e-3)
    engine.close(root)


def engine_end(engine: TransformersEngine) -> int:
    (end,) = engine._operations.language.end
    return end


def test_requests_side_by_side_are_read_each_in_its_way(engine: TransformersEngine) -> None:
    """What one request is read as changes nothing for another."""
    prompt = engine.encode(ASKED)
    alone, beside = [], []
    for found, others in ((alone, ()), (beside, (60,))):
        roots = [engine.open(prompt, Sampling(seed=5, temperature=1.0, max_tokens=most)) for most in (*others, 12)]
        nodes = [engine.extend([Draw(root.result())], 10) for root in roots]
        found += nodes[-1].result()[0].logprobs
        for root in roots:
            engine.close(root.result())
    assert alone == beside
