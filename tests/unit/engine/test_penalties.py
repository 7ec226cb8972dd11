"""Penalties against `transformers`' own and against their definition, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from ig_guardrail.engine.decoding.penalties import said_tokens
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.types import Draw, Message, Sampling
from tests.conformance.engine.tiny import tiny_weights

TURNS = (Message("user", "Tell me the thing and the other thing."),)
ARCHITECTURES = ("llama", "qwen3", "gemma3")


@pytest.fixture(params=ARCHITECTURES)
def weights(request: pytest.FixtureRequest) -> Weights:
    return tiny_weights(context=256, architecture=request.param)


@pytest.fixture
def engine(weights: Weights) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(weights)
    yield engine
    engine.shutdown()


def drawn(engine: TransformersEngine, sampling: Sampling, blocks: int = 4) -> tuple[int, ...]:
    root = engine.open(engine.encode(TURNS), sampling).result()
    node = root
    for _ in range(blocks):
        (node,) = engine.extend([Draw(node)], 12).result()
    engine.close(root)
    return node.answer_ids()


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [0.7, 1.1, 1.5])
def test_a_repetition_penalty_gives_the_greedy_tokens_of_transformers(
    weights: Weights, engine: TransformersEngine, penalty: float
) -> None:
    end = weights.tokenizer.eos_token_id
    sampling = Sampling(temperature=0.0, repetition_penalty=penalty, logit_bias=((end, -1e4),), max_tokens=48)
    ids = torch.tensor([engine.encode(TURNS).ids])
    out = weights.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=48,
        min_new_tokens=48,
        do_sample=False,
        logits_processor=LogitsProcessorList([RepetitionPenaltyLogitsProcessor(penalty)]),
    )
    expected = tuple(out[0, ids.shape[1] :].tolist())
    assert drawn(engine, sampling) == expected
    assert drawn(engine, replace(sampling, repetition_penalty=1.0)) != expected


def test_frequency_and_presence_are_what_openai_defines(weights: Weights, engine: TransformersEngine) -> None:
    """mu[j] - c[j] * frequency - (c[j] > 0) * presence, where c counts the answer's tokens."""
    frequency, presence, end = 1.2, 0.9, weights.tokenizer.eos_token_id
    prompt, answer = engine.encode(TURNS).ids, []
    for _ in range(36):
        with torch.no_grad():
            logits = weights.model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, -1].clone()
        for token, count in Counter(answer).items():
            logits[token] -= count * frequency + presence
        logits[end] -= 1e4
        answer.append(int(logits.argmax()))
    sampling = Sampling(
        temperature=0.0,
        frequency_penalty=frequency,
        presence_penalty=presence,
        logit_bias=((end, -1e4),),
        max_tokens=64,
    )
    assert drawn(engine, sampling, 3) == tuple(answer)
    assert len(set(answer)) > len(set(drawn(engine, replace(sampling, frequency_penalty=0, presence_penalty=0), 3)))


def test_end_tokens_are_penalised_like_others_as_in_transformers() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    said = said_tokens([0, 1], [[]], logits)
    assert said.penalised(logits, Sampling(repetition_penalty=2.0)).tolist() == [[1.0, -4.0, 1.0]]


def test_rows_count_their_own_tokens() -> None:
    logits = torch.zeros(3, 4)
    said = said_tokens([3], [[0], [], [1, 1]], logits)
    said.say({0: 2, 2: 1})
    sampling = Sampling(frequency_penalty=1.0, presence_penalty=0.5)
    expected = [[-1.5, 0, -1.5, 0], [0, 0, 0, 0], [0, -3.5, 0, 0]]
    assert said.penalised(logits, sampling).tolist() == expected
    assert said.row(2).penalised(logits[:1], sampling).tolist() == expected[2:]
    said.keep([2, 0])
    assert said.penalised(logits[:2], sampling).tolist() == [expected[2], expected[0]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_numbers_that_a_host_computes_in_change_nothing(engine: TransformersEngine, dtype: torch.dtype) -> None:
    """`torch.set_default_dtype` is one setting of the whole process."""
    sampling = Sampling(
        seed=4, temperature=1.0, frequency_penalty=0.3, repetition_penalty=1.1, logit_bias=((5, 0.1), (6, 1.7))
    )
    usual = drawn(engine, sampling)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        assert drawn(engine, sampling) == usual
    finally:
        torch.set_default_dtype(before)
