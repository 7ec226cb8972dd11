"""The search as it is written down first: each block re-reads the text, for every candidate, and re-reads it to score.

In each block `generate` draws N continuations of the text so far (`num_return_sequences`), which reads the text anew
for each; a model of the same size then reads every candidate's whole text once more, to score it; one of them is kept.
"""

from __future__ import annotations

from functools import partial

import tables
import torch

from ig_guardrail.drive.request import Ask
from ig_guardrail.guardrail import Guardrail
from speed.generate import Generate, options
from speed.stage import BLOCK, Say, Stage, answer, expect, story, unhindered
from speed.timing import in_turn, ratios, row, seconds

PART = "CPU time of the naive reference"
WIDTH = 8
TOKENS = 32
BOUNDS = {150: 4.0, 1000: 10.0}


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """Whole answers, prompts included on both sides."""
    rail, rows = stage.rail(unhindered(stage.policy, mode="always", candidates=WIDTH)), []
    for length, bound in BOUNDS.items():
        say(f"  prompt of {length} tokens")
        ask = Ask(story(stage.engine, length), stage.sampling(TOKENS))
        taken = in_turn({"naive": partial(naive, stage, ask), "ours": partial(ours, rail, ask)}, pairs, say)
        title = f"naive / this engine, {WIDTH} candidates, {TOKENS} tokens, prompt of {length} tokens"
        rows.append(row(PART, f"naive-{length}", title, ratios(taken["naive"], taken["ours"]), at_least=bound))
    return rows


def ours(rail: Guardrail, ask: Ask, _: int) -> float:
    """CPU seconds of an answer."""
    return seconds(lambda: answer(rail, ask))


def naive(stage: Stage, ask: Ask, _: int) -> float:
    """CPU seconds of an answer."""
    return seconds(lambda: search(stage, ask))


def search(stage: Stage, ask: Ask) -> None:
    """Blocks of 16 tokens; which candidate is kept does not matter for the time, so it is the first."""
    generate, model = Generate(stage), stage.weights.model
    prompt = text = generate.ids(ask.turns)
    keys = {**options(ask.sampling), "eos_token_id": None, "max_new_tokens": BLOCK, "num_return_sequences": WIDTH}
    for _ in range(ask.sampling.max_tokens // BLOCK):
        candidates = generate.tokens(text, **keys)
        with torch.inference_mode():
            model(candidates, logits_to_keep=1, use_cache=False)
        text = candidates[:1]
    expect(text.shape[1] - prompt.shape[1], ask.sampling.max_tokens)
