"""What a token costs when every block is searched, against `generate`; and the paper's own setting."""

from __future__ import annotations

from functools import partial
from typing import Any

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy.language import PRESETS
from ig_guardrail.types import Message, Sampling
from speed.generate import Generate
from speed.stage import Say, Stage, answer, expect, story, unhindered
from speed.timing import Watch, in_turn, ratios, row

PART = "CPU time of search in every block"
PAPER = "CPU time of the paper's preset"
TOKENS = 48
BOUNDS = {(8, 150): 1.4, (8, 1000): 1.2, (32, 150): 2.7, (32, 1000): 2.3}
PAPER_TOKENS = 128
PAPER_PAIRS = 2
PAPER_AIM = 6.0


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """Candidates by prompt length: per shown token after the first block, and whole answers with their prompts."""
    widths = sorted({width for width, _ in BOUNDS})
    rails = {width: stage.rail(unhindered(stage.policy, mode="always", candidates=width)) for width in widths}
    per_token, whole = [], []
    for length in sorted({length for _, length in BOUNDS}):
        say(f"  prompt of {length} tokens")
        turns, sampling = story(stage.engine, length), stage.sampling(TOKENS)
        runs = {"generate": partial(_generated, stage, turns, sampling)}
        for width, rail in rails.items():
            runs[str(width)] = partial(_searched, rail, turns, sampling)
        watches = in_turn(runs, pairs, say)
        base = watches["generate"]
        for width in widths:
            found = watches[str(width)]
            name, title = f"always-{width}-{length}", f"{width} candidates / generate, prompt of {length} tokens"
            rest = ratios([one.rest for one in found], [one.rest for one in base])
            all_of_it = ratios([one.whole for one in found], [one.whole for one in base])
            per_token.append(row(PART, name, f"a shown token, {title}", rest, at_most=BOUNDS[width, length]))
            whole.append(row(PART, f"{name}-whole", f"a whole answer, {title}", all_of_it))
    return [*per_token, *whole]


def measure_paper(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """The preset `paper` of the policy language: 128 candidates, 32 beams, blocks of 32. Two pairs are enough."""
    preset: Any = PRESETS["paper"]
    policy = unhindered(stage.policy, **preset, beams=preset["candidates"] // 4)
    rail, turns, sampling = stage.rail(policy), story(stage.engine, 150), stage.sampling(PAPER_TOKENS)
    runs = {
        "generate": partial(_generated, stage, turns, sampling),
        "paper": partial(_searched, rail, turns, sampling),
    }
    watches = in_turn(runs, min(pairs, PAPER_PAIRS), say)
    values = ratios([one.whole for one in watches["paper"]], [one.whole for one in watches["generate"]])
    title = f"a whole answer of {PAPER_TOKENS} tokens, preset `paper` / generate, prompt of 150 tokens"
    return [row(PAPER, "paper", title, values, at_most=PAPER_AIM)]


def _generated(stage: Stage, turns: tuple[Message, ...], sampling: Sampling, _: int) -> Watch:
    return Generate(stage).stream(turns, sampling)


def _searched(rail: Guardrail, turns: tuple[Message, ...], sampling: Sampling, _: int) -> Watch:
    """The first chunk is the first block of 16 tokens, where nothing is held back and one beam is kept."""
    watch = Watch()
    receipt = answer(rail, GenerationRequest(turns, sampling), lambda chunk: watch.mark())
    expect(receipt.tokens["generated"], rail.policy.search.candidates * sampling.max_tokens)
    return watch.stop()
