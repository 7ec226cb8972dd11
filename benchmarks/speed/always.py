"""What an answer costs when every block is searched, against `generate`; and in the paper's own setting."""

from __future__ import annotations

from functools import partial
from typing import Any

from ig_guardrail.evaluate import tables
from ig_guardrail.policy.language.search import PRESETS
from speed.generate import timed_generate
from speed.stage import Stage, timed, unhindered
from speed.timing import in_turn, ratios, row

PART = "CPU time of search in every block"
TOKENS = 48
BOUNDS = {150: {8: 1.4, 32: 2.7}, 1000: {8: 1.2, 32: 2.3}}  # by length of the prompt and number of candidates
PAPER = "CPU time of the paper's preset"
PAPER_TOKENS = 128
PAPER_PAIRS = 2
PAPER_AIM = 6.0


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """Candidates by prompt length, and the paper's preset."""
    rails = {width: stage.rail(unhindered(stage.policy, mode="always", candidates=width)) for width in (8, 32)}
    rows = []
    for length, bounds in BOUNDS.items():
        asked = stage.asked(length, TOKENS)
        searches = {str(width): partial(timed, rail, asked, width) for width, rail in rails.items()}
        runs = {"generate": partial(timed_generate, stage, asked), **searches}
        taken = in_turn(runs, pairs, f"every block, prompt of {length}")
        for width, bound in bounds.items():
            title = f"{width} candidates / generate, prompt of {length} tokens"
            values = ratios(taken[str(width)], taken["generate"])
            rows.append(row(PART, f"always-{width}-{length}", title, values, at_most=bound))
    return [*rows, _paper(stage, min(pairs, PAPER_PAIRS))]


def _paper(stage: Stage, pairs: int) -> tables.Row:
    """The preset `paper` of the policy language: 128 candidates, 32 beams, blocks of 32."""
    preset: Any = PRESETS["paper"]
    rail = stage.rail(unhindered(stage.policy, **preset, beams=preset["candidates"] // 4))
    asked = stage.asked(150, PAPER_TOKENS)
    runs = {
        "paper": partial(timed, rail, asked, preset["candidates"]),
        "generate": partial(timed_generate, stage, asked),
    }
    values = ratios(*in_turn(runs, pairs, "the paper's preset").values())
    return row(PAPER, "paper", "preset `paper` / generate, prompt of 150 tokens", values, at_most=PAPER_AIM)
