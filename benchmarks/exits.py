"""What reading ahead by the packaged early exit does: whether answers stay the same, how often it is right, its price.

    python benchmarks/exits.py [--exit FOLDER]

Strategies `early_exit` and `cut`, which decode alike but for that, under the default policy on packaged prompts, half
of them risky. One torch thread; the two take turns on every prompt, and their order changes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from command import run
from rich.console import Console
from speed.stage import Say
from speed.timing import in_turn, ratios, row

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.comparison.config import PromptSet, read_set
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.learn.fitting.quality import proportion
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Message, Receipt, Sampling

HERE = Path(__file__).parent
PROMPTS = 10  # of each set
TOKENS = 48
STRATEGIES = ("early_exit", "cut")
WAYS = {"greedy": 0.0, "sampled": 0.7}


@dataclass(frozen=True, slots=True)
class Answer:
    """A receipt, and the CPU seconds of the answer."""

    receipt: Receipt
    seconds: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure reading ahead by an early exit.")
    parser.add_argument("--exit", type=Path, help="a folder of `train exit`; by default the packaged one")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    console = Console()
    rail = open_guardrail(GuardrailSpec(exit=options.exit))
    for way in STRATEGIES:
        _answered(rail, GenerationRequest(_asked()[0], Sampling(max_tokens=4), way))
    rows: list[tables.Row] = []
    for name, temperature in WAYS.items():
        console.print(f"answering, {name}", markup=False)
        rows += _rows(rail, name, temperature, lambda text: console.print(text, markup=False))
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    tables.write_json(options.out / "exits.json", {"measured": today, "figures": rows})
    console.print(tables.terminal("reading ahead", rows))
    return 0


def _rows(rail: Guardrail, name: str, temperature: float, say: Say) -> list[tables.Row]:
    asked = _asked()
    sampling = Sampling(temperature=temperature, top_p=0.95, seed=1, max_tokens=TOKENS)
    asks = {way: [GenerationRequest(turns, sampling, way) for turns in asked] for way in STRATEGIES}
    found = in_turn(
        {way: lambda number, own=own: _answered(rail, own[number]) for way, own in asks.items()}, len(asked), say
    )
    fast, plain = found["early_exit"], found["cut"]
    same = [one for one in zip(fast, plain, strict=True) if one[0].receipt.text == one[1].receipt.text]
    guessed = sum(_guessed(*pair) for pair in same)
    right = proportion(sum(_right(*pair) for pair in same), guessed)
    part = f"early_exit, {name}"
    reads = [[one.receipt.tokens["read"] for one in way] for way in (fast, plain)]
    seconds = [[one.seconds for one in way] for way in (fast, plain)]
    return [
        tables.row(part, f"{part}, same", "answers that are those of cut (count)", len(same), None, len(asked)),
        tables.row(part, f"{part}, right", "guesses that are right", right.value, [right.low, right.high], guessed),
        row(part, f"{part}, read", "tokens read / those of cut", ratios(*reads)),
        row(part, f"{part}, time", "CPU time / that of cut", ratios(*seconds)),
    ]


def _asked() -> list[tuple[Message, ...]]:
    sets = [PromptSet(name=kind, kind=kind, file=f"packaged:{kind}", limit=PROMPTS) for kind in ("benign", "risky")]
    return [asked.turns for one in sets for asked in read_set(one)]


def _answered(rail: Guardrail, ask: GenerationRequest) -> Answer:
    before = time.process_time()
    *_, last = rail.stream(ask)
    assert last.receipt is not None
    return Answer(last.receipt, time.process_time() - before)


def _right(fast: Answer, plain: Answer) -> int:
    """Each right guess saves a pass."""
    return plain.receipt.forwards - fast.receipt.forwards


def _guessed(fast: Answer, plain: Answer) -> int:
    """What passes read beyond their own tokens; that of the prompt, which both read alike, is taken off."""
    own, prompt = fast.receipt.forwards, plain.receipt.tokens["read"] - plain.receipt.forwards
    return fast.receipt.tokens["read"] - own - prompt


if __name__ == "__main__":
    run(main)
