"""What a search costs that widens only some blocks: E = 1 + p r, beside measured points.

p is the share of blocks that are widened, r what a wide block costs over a narrow one. A widened block costs both: its
draft is kept as candidate 0, and the candidates are drawn besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.guardrail import Guardrail
from speed.risk import Mode, ScriptedRisk, scripted_rail
from speed.stage import BLOCK, Say, Stage, answer, expect, story
from speed.timing import Watch, in_turn, ratios

BLOCKS = 4  # after the first one, which is never risky and not counted
CANDIDATES = 8
PROMPT = 150


def measure(stage: Stage, pairs: int, say: Say) -> Mapping[str, Any]:
    """r, and E at every share of the blocks."""
    shares = [widened / BLOCKS for widened in range(BLOCKS + 1)]
    runs = {str(share): partial(_watched, stage, _rail(stage, "on_risk", share), share) for share in shares}
    runs["always"] = partial(_watched, stage, _rail(stage, "always", 0.0), None)
    rest = {name: [one.rest for one in watches] for name, watches in in_turn(runs, pairs, say).items()}
    points = [{"p": share, **_figure(ratios(rest[str(share)], rest["0.0"]))} for share in shares]
    wide = _figure(ratios(rest["always"], rest["0.0"]))
    return {"candidates": CANDIDATES, "prompt": PROMPT, "n": pairs, "r": wide, "points": points}


def _rail(stage: Stage, mode: Mode, share: float) -> Guardrail:
    """Risk in the last blocks, as many as the share says."""
    first = BLOCKS - round(share * BLOCKS)
    positions = frozenset(BLOCK * (2 + number) for number in range(first, BLOCKS))
    search = replace(stage.policy.search, mode=mode, candidates=CANDIDATES, hold=0)
    rail = scripted_rail(stage.engine, replace(stage.policy, search=search), ScriptedRisk(positions))
    answer(rail, GenerationRequest(story(stage.engine, PROMPT), stage.sampling(BLOCK)))
    return rail


def _watched(stage: Stage, rail: Guardrail, share: float | None, _: int) -> Watch:
    """An answer, checked to have drawn what the share says; None: all candidates in every block, and no draft."""
    ask = GenerationRequest(story(stage.engine, PROMPT), stage.sampling(BLOCK * (BLOCKS + 1)))
    watch = Watch()
    receipt = answer(rail, ask, lambda chunk: watch.mark())
    watch.stop()
    drafts, wide = (0, BLOCKS + 1) if share is None else (BLOCKS + 1, round(share * BLOCKS))
    expect(receipt.tokens["generated"], BLOCK * (drafts + wide * CANDIDATES))
    return watch


def _figure(values: list[float]) -> dict[str, Any]:
    return {"value": round(median(values), 4), "interval": [round(min(values), 4), round(max(values), 4)]}
