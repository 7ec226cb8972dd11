"""What one guarded stream costs behind prompts of all lengths that users have."""

from __future__ import annotations

import time
from functools import partial

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Chunk
from speed.generate import timed_generate
from speed.stage import Stage, answer, timed, unhindered
from speed.timing import in_turn, ratios, row

PART = "CPU time of one guarded stream"
LENGTHS = (40, 1000, 4000)  # tokens of the prompt
TOKENS = 64
LONGER = {1000: 1.25, 4000: None}  # a token behind so many / behind 40
BESIDE = {40: 0.55, 1000: 0.55, 4000: None}  # a whole answer / generate


def measure(stage: Stage, pairs: int) -> list[tables.Row]:
    """A shown token by length of the prompt, and whole answers against `generate`."""
    rail = stage.rail(unhindered(stage.policy))
    asked = {length: stage.asked(length, TOKENS) for length in LENGTHS}
    runs = {str(length): partial(shown, rail, one) for length, one in asked.items()}
    token = in_turn(runs, pairs, "a shown token by length of the prompt")
    rows = []
    for length, bound in LONGER.items():
        values = ratios(token[str(length)], token["40"])
        title = f"a shown token behind a prompt of {length} tokens / of 40"
        rows.append(row(PART, f"longer-{length}", title, values, at_most=bound))
    for length, bound in BESIDE.items():
        whole = {
            "guarded": partial(timed, rail, asked[length], 1),
            "generate": partial(timed_generate, stage, asked[length]),
        }
        values = ratios(*in_turn(whole, pairs, f"whole answers, prompt of {length}").values())
        title = f"a whole answer, guarded / generate, prompt of {length} tokens"
        rows.append(row(PART, f"beside-{length}", title, values, at_most=bound))
    return rows


def shown(rail: Guardrail, asked: GenerationRequest, _: int = 0) -> float:
    """CPU seconds of the tokens behind the first piece of text."""
    began: list[float] = []

    def note(_: Chunk) -> None:
        began.append(time.process_time())

    answer(rail, asked, note)
    return time.process_time() - began[0]
