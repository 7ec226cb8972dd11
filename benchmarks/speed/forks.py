"""What a fork costs: 32 continuations from one prefix, the winner of the block before it copied onto the trunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ig_guardrail.engine.decoding.passes import Pass
from ig_guardrail.engine.kv.shared import SharedPrefix, SharedRows, Sharing
from ig_guardrail.engine.model import Model
from ig_guardrail.engine.tree import RequestUsage
from ig_guardrail.evaluate import tables
from speed.stage import BLOCK, Say, Stage, story
from speed.timing import in_turn, ratios, row, seconds

PART = "time of a fork"
WIDTH = 32
LENGTHS = (150, 1000, 2000)
TIMES = 16  # forks, and steps, of one measurement
BOUND = 5  # per cent


@dataclass(frozen=True, slots=True)
class Forks:
    """A prefix that was read once, and a block of 32 rows that was drawn from it."""

    sharing: Sharing
    prefix: SharedPrefix
    block: SharedRows

    def runs(self) -> dict[str, Callable[[int], float]]:
        """CPU seconds of some forks, and of as many steps."""
        return {
            "fork": lambda _: sum(self.fork() for _ in range(TIMES)),
            "step": lambda _: sum(self.step() for _ in range(TIMES)),
        }

    def fork(self) -> float:
        """CPU seconds of one fork: the winner's tokens go onto the trunk, and 32 rows start from them."""
        winner = self.block.freeze(WIDTH - 1, self.prefix.logits)
        return seconds(lambda: self.sharing.start([winner] * WIDTH, BLOCK))

    def step(self) -> float:
        """CPU seconds in which one row reads one token, beside the prefix."""
        rows = self.sharing.start([self.prefix], 1)
        return seconds(lambda: _read(self.sharing, rows, [[0]]))


@torch.inference_mode()
def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """By length of the prompt."""
    rows = []
    for length in LENGTHS:
        say(f"  prompt of {length} tokens")
        taken = in_turn(_begin(stage, length).runs(), pairs, say)
        shares = [100 * one for one in ratios(taken["fork"], taken["step"])]
        title = f"a fork into {WIDTH}, % of a step of one row, prompt of {length} tokens"
        rows.append(row(PART, f"fork-{length}", title, shares, at_most=BOUND))
    return rows


def _begin(stage: Stage, length: int) -> Forks:
    sharing = Sharing(Model(stage.packed.model))
    rows = sharing.empty(length)
    logits = _read(sharing, rows, [stage.engine.encode(story(stage.engine, length)).ids])
    prefix = rows.freeze(0, logits[0, -1])
    block = sharing.start([prefix] * WIDTH, BLOCK)
    for token in range(BLOCK):
        _read(sharing, block, [[token]] * WIDTH)
    return Forks(sharing, prefix, block)


def _read(sharing: Sharing, rows: SharedRows, tokens: list[Any]) -> torch.Tensor:
    (reading,) = sharing.read([Pass(rows, tokens, 1, (), RequestUsage(0))])
    return reading.logits
