"""What patterns take: milliseconds a scoring, streamed, of light, many, heavy and disguised ones.

    python benchmarks/patterns.py

No model is needed. A scoring by the heaviest patterns that a policy may hold must stay well below the default limit of
2 s, whatever the text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median

from rich.console import Console

from ig_guardrail.costs.pattern import PatternCost, compile_patterns
from ig_guardrail.types import Piece, Prompt

CHARACTERS, PIECE, ROUNDS = 8_192, 64, 3
BOUND = 500.0  # milliseconds a scoring
PLAIN = "The quick brown fox jumps over the lazy dog, 12 times a day. "
DISGUISED = "The qu\u0456ck br\u043ewn f\u043e\u200bx jumps\u00a0over the la\u0301zy dog, \uff11\uff12 times. "

CASES: Mapping[str, tuple[PatternCost, str]] = {
    "one word": (compile_patterns(["(?i)\\bblockhead"], 9, "one", ("hte",)), PLAIN),
    "one word, disguised text": (compile_patterns(["(?i)\\bblockhead"], 9, "one", ("hte",)), DISGUISED),
    "200 words": (compile_patterns([f"(?i)word{i}ling" for i in range(200)], 24, "many", ("hte",)), PLAIN),
    "200 words, disguised text": (
        compile_patterns([f"(?i)word{i}ling" for i in range(200)], 24, "many", ("hte",)),
        DISGUISED,
    ),
    "heaviest, calm text": (compile_patterns(["(?s)a.{0,900}b7"] * 3, 4_000, "heavy", ("hte",)), PLAIN),
    "heaviest, worst text": (compile_patterns(["(?s)a.{0,900}b7"] * 3, 4_000, "heavy", ("hte",)), "a" * 60),
    "heaviest, narrow": (compile_patterns(["(?s)[ab].{0,60}[bc]{9}7"] * 200, 70, "wide", ("hte",)), "ab" * 30),
}


def main() -> None:
    console = Console()
    for name, (cost, text) in CASES.items():
        each = median(_milliseconds(cost, text) for _ in range(ROUNDS))
        console.print(
            f"{name:28} {each:9.3f} ms a scoring of {PIECE} characters{'' if each < BOUND else '   MISSED'}",
            highlight=False,
        )


def _milliseconds(cost: PatternCost, text: str) -> float:
    said = (text * (CHARACTERS // len(text) + 1))[:CHARACTERS]
    state, began = cost.start(Prompt((), ())), time.perf_counter()
    for start in range(0, CHARACTERS, PIECE):
        ((state, _),) = cost.advance([(state, Piece(said[start : start + PIECE]))])
    return (time.perf_counter() - began) / (CHARACTERS / PIECE) * 1e3


if __name__ == "__main__":
    main()
