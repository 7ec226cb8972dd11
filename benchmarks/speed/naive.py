"""The search as it is written down first: each block re-reads the text, for every candidate, and re-reads it to score.

In each block `generate` draws N continuations of the text so far (`num_return_sequences`), which reads the text anew
for each; a model of the same size then reads every candidate's whole text once more, to score it; one of them is kept.
"""

from __future__ import annotations

from functools import partial

import torch

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from speed.generate import Generate, options
from speed.stage import BLOCK, Say, Stage, answer, expect, story, unhindered
from speed.timing import Watch, in_turn, ratios, row

PART = "CPU time of the naive reference"
WIDTH = 8
TOKENS = 32
BOUNDS = {150: 4.0, 1000: 10.0}


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """By length of the prompt: a shown token after the first block, and whole answers with their prompts."""
    rail = stage.rail(unhindered(stage.policy, mode="always", candidates=WIDTH))
    per_token, whole = [], []
    for length, bound in BOUNDS.items():
        say(f"  prompt of {length} tokens")
        ask = GenerationRequest(story(stage.engine, length), stage.sampling(TOKENS))
        watches = in_turn({"naive": partial(naive, stage, ask), "ours": partial(ours, rail, ask)}, pairs, say)
        found, base = watches["naive"], watches["ours"]
        title = f"naive / this engine, {WIDTH} candidates, prompt of {length} tokens"
        rest = ratios([one.rest for one in found], [one.rest for one in base])
        all_of_it = ratios([one.whole for one in found], [one.whole for one in base])
        per_token.append(row(PART, f"naive-{length}", f"a shown token, {title}", rest, at_least=bound))
        whole.append(row(PART, f"naive-{length}-whole", f"a whole answer, {title}", all_of_it, at_least=bound))
    return [*per_token, *whole]


def ours(rail: Guardrail, ask: GenerationRequest, _: int) -> Watch:
    """An answer of this engine."""
    watch = Watch()
    answer(rail, ask, lambda chunk: watch.mark())
    return watch.stop()


def naive(stage: Stage, ask: GenerationRequest, _: int) -> Watch:
    """An answer in blocks of 16 tokens. Which candidate is kept makes no difference to the time; it is the first."""
    generate, model = Generate(stage), stage.weights.model
    prompt = text = generate.ids(ask.turns)
    keys = {**options(ask.sampling), "eos_token_id": None, "max_new_tokens": BLOCK, "num_return_sequences": WIDTH}
    watch = Watch()
    for _block in range(ask.sampling.max_tokens // BLOCK):
        candidates = generate.tokens(text, **keys)
        with torch.inference_mode():
            model(candidates, logits_to_keep=1, use_cache=False)
        text = candidates[:1]
        watch.mark()
    expect(text.shape[1] - prompt.shape[1], ask.sampling.max_tokens)
    return watch.stop()
