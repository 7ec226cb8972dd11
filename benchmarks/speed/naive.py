"""The search as it is written down first: each block re-reads the text, for every candidate, and re-reads it to score.

In each block `generate` draws N continuations of the text so far (`num_return_sequences`), which reads the text again
for each; a model of the same size then reads every candidate's whole text once more, to score it; one of them is kept.
"""

from __future__ import annotations

import time
from functools import partial

import torch

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from speed.generate import generated, prompt_of
from speed.stage import BLOCK, Stage, expect, timed, unhindered
from speed.timing import in_turn, ratios, row

PART = "CPU time of the naive reference"
WIDTH = 8
TOKENS = 32
BOUNDS = {150: 4.0, 1000: 10.0}


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Whole answers, by length of the prompt."""
    rail = stage.rail(unhindered(stage.policy, mode="always", candidates=WIDTH))
    rows = []
    for length, bound in BOUNDS.items():
        asked = stage.asked(length, TOKENS)
        runs = {"naive": partial(timed_naive, stage, asked), "ours": partial(timed, rail, asked, WIDTH)}
        values = ratios(*in_turn(runs, pairs, f"naive, prompt of {length}").values())
        title = f"naive / this engine, {WIDTH} candidates, prompt of {length} tokens"
        rows.append(row(PART, f"naive-{length}", title, values, at_least=bound))
    return rows


def timed_naive(stage: Stage, asked: GenerationRequest, _: int) -> float:
    """CPU seconds of an answer in blocks of 16 tokens; which candidate is kept makes no difference: it is the first."""
    began = time.process_time()
    prompt = text = prompt_of(stage, asked)
    for _block in range(asked.sampling.max_tokens // BLOCK):
        candidates = generated(stage, text, asked, max_new_tokens=BLOCK, num_return_sequences=WIDTH)
        with torch.inference_mode():
            stage.weights.model(candidates, logits_to_keep=1, use_cache=False)
        text = candidates[:1]
    expect(text.shape[1] - prompt.shape[1], asked.sampling.max_tokens)
    return time.process_time() - began
