"""What a token costs with 4-bit weights, against `generate` in bfloat16."""

from __future__ import annotations

from functools import partial

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.packing import pack
from ig_guardrail.engine.transformers import TransformersEngine
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Message, Sampling
from speed.generate import Generate
from speed.stage import Say, Stage, answer, expect, story, unhindered
from speed.timing import Watch, in_turn, ratios, row

PART = "CPU time with 4-bit weights"
TOKENS = 48
PROMPT = 150
BOUNDS = {"plain": 0.5, "8 candidates": 1.0}


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """Strategy `none`, and a search of every block with eight candidates, per shown token after the first block."""
    weights = load_weights("embedded", "cpu", "int4")
    pack(weights.model)
    engine = TransformersEngine(weights)
    say("  weights are quantised")
    turns, sampling = story(engine, PROMPT), stage.sampling(TOKENS)
    searched = stage.rail(unhindered(stage.policy, mode="always", candidates=8), engine)
    runs = {
        "generate": lambda _: Generate(stage).stream(turns, sampling),
        "plain": partial(_answered, stage.rail(stage.policy, engine), "none", turns, sampling, 1),
        "8 candidates": partial(_answered, searched, None, turns, sampling, 8),
    }
    watches = in_turn(runs, pairs, say)
    engine.shutdown()
    base = [one.rest for one in watches["generate"]]
    return [
        row(
            PART,
            f"int4 {name}",
            f"a shown token, {name} / generate in bfloat16",
            ratios([one.rest for one in watches[name]], base),
            at_most=bound,
        )
        for name, bound in BOUNDS.items()
    ]


def _answered(
    rail: Guardrail, strategy: str | None, turns: tuple[Message, ...], sampling: Sampling, width: int, _: int
) -> Watch:
    """The first chunk is the first block of 16 tokens."""
    watch = Watch()
    receipt = answer(rail, GenerationRequest(turns, sampling, strategy), lambda chunk: watch.mark())
    expect(receipt.tokens["generated"], width * sampling.max_tokens)
    return watch.stop()
