"""What DeAL's look ahead does for keywords: the share that a sentence holds, beside greedy decoding, on 20 prompts.

    python benchmarks/keywords.py

Both run through the gate of the default policy. The weight was set before anything was run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from command import run
from rich.console import Console
from rich.progress import track

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.bootstrap import Estimate
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.intervals import mean_of
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.deal import Deal, covers
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import Message, Receipt, Sampling

HERE = Path(__file__).parent
TOKENS, K, LOOKAHEAD, WEIGHT = 24, 5, 16, 10.0
BOUND = 0.2  # by how much more of the keywords than greedy decoding
PART = "keywords in a sentence, DeAL beside greedy decoding"
KEYWORDS = (
    ("dog", "frisbee", "catch"), ("river", "boat", "row"), ("teacher", "chalk", "board"), ("kite", "wind", "beach"),
    ("baker", "oven", "bread"), ("train", "station", "wait"), ("garden", "spade", "dig"), ("snow", "hill", "sled"),
    ("piano", "hall", "play"), ("farmer", "field", "plough"), ("rain", "window", "watch"), ("cat", "ladder", "climb"),
    ("child", "puddle", "jump"), ("candle", "table", "light"), ("painter", "wall", "brush"), ("horse", "fence", "leap"),
    ("market", "apple", "buy"), ("tent", "forest", "sleep"), ("drum", "street", "march"), ("clock", "tower", "strike"),
)  # fmt: skip

Pair: TypeAlias = tuple[tuple[float, float], tuple[float, float]]  # greedy, DeAL: share of keywords, tokens read


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure how many keywords DeAL gets into a sentence.")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    guardrail = open_guardrail(GuardrailSpec(device=options.device))
    pairs = [_pair(guardrail, words) for words in track(KEYWORDS, "sentences", console=Console(stderr=True))]
    rows = _rows(pairs)
    found = {"measured": datetime.now(UTC).strftime("%Y-%m-%d"), "weight": WEIGHT, "figures": rows}
    tables.write_json(options.out / "keywords.json", found)
    Console().print(tables.terminal("keywords", rows))
    return 0


def _pair(guardrail: Guardrail, words: Sequence[str]) -> Pair:
    ahead = Deal(K, LOOKAHEAD, WEIGHT, ((1.0, covers(words)),))
    return _share(words, _answer(guardrail, words, Deal(K, 1, 0.0))), _share(words, _answer(guardrail, words, ahead))


def _answer(guardrail: Guardrail, words: Sequence[str], method: Deal) -> Receipt:
    asked = f"Write one short sentence with the words {', '.join(words[:-1])} and {words[-1]}."
    *_, last = guardrail.stream(GenerationRequest((Message("user", asked),), Sampling(0.0, max_tokens=TOKENS), method))
    assert last.receipt is not None
    return last.receipt


def _share(words: Sequence[str], receipt: Receipt) -> tuple[float, float]:
    """The share of keywords in the answer; tokens read beyond the prompt for each one shown."""
    tokens = receipt.tokens
    return covers(words)(receipt.text), (tokens["read"] - tokens["prompt"]) / max(1, tokens["released"])


def _rows(pairs: Sequence[Pair]) -> Sequence[tables.Row]:
    greedy, ahead = mean_of([one[0] for one, _ in pairs]), mean_of([other[0] for _, other in pairs])
    more = mean_of([other[0] - one[0] for one, other in pairs])
    read = mean_of([other[1] for _, other in pairs])
    return [
        _row("greedy", "share of keywords, greedy", greedy),
        _row("deal", f"share of keywords, DeAL (k {K}, {LOOKAHEAD} tokens ahead)", ahead),
        _row("more", "more than greedy, in pairs", more, f"≥ {BOUND}", more.value >= BOUND),
        _row("read", "tokens read for each one shown, DeAL", read),
    ]


def _row(name: str, title: str, found: Estimate, bound: str | None = None, ok: bool | None = None) -> tables.Row:
    return tables.row(PART, name, title, found.value, [found.low, found.high], found.n, bound, ok)


if __name__ == "__main__":
    run(main)
