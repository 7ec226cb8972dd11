"""The yardstick: `model.generate`, sampled alike, its text read from a streamer."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from transformers import TextIteratorStreamer

from ig_guardrail.drive.request import GenerationRequest
from speed.stage import Stage, expect


def timed_generate(stage: Stage, asked: GenerationRequest, _: int = 0) -> float:
    """CPU seconds of `generate` on a thread, its text read here; the end token is ignored, so that all tokens come."""
    began, prompt = time.process_time(), prompt_of(stage, asked)
    streamer = TextIteratorStreamer(stage.weights.tokenizer, skip_prompt=True)
    with ThreadPoolExecutor(1) as pool:
        output = pool.submit(generated, stage, prompt, asked, streamer=streamer)
        for _text in streamer:
            pass
        expect(output.result().shape[1] - prompt.shape[1], asked.sampling.max_tokens)
    return time.process_time() - began


def prompt_of(stage: Stage, asked: GenerationRequest) -> Tensor:
    """The prompt, (1, tokens)."""
    return torch.tensor([stage.engine.encode(asked.turns).ids])


def generated(stage: Stage, ids: Tensor, asked: GenerationRequest, **options: Any) -> Tensor:
    """What `generate` returns for a text (1, tokens) under the request's sampling, and under no defaults of a model."""
    own = {"do_sample": True, "temperature": asked.sampling.temperature, "top_p": asked.sampling.top_p, "top_k": 0}
    own |= {"max_new_tokens": asked.sampling.max_tokens, "eos_token_id": None, "attention_mask": torch.ones_like(ids)}
    output: Tensor = stage.weights.model.generate(
        ids, pad_token_id=stage.weights.tokenizer.pad_token_id, **{**own, **options}
    )
    return output
