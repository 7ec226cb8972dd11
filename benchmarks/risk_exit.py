"""What a risk exit could save: the layers behind an early cost head, for candidates of the search that then fail.

    python benchmarks/risk_exit.py

While tokens are drawn the next one needs all layers, so an exit could act only where candidates that were drawn in a
steered context are read again in the answer's own. Counted here: the tokens of those that failed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tables
from command import run
from rich.console import Console
from rich.progress import track

from ig_guardrail.assembly import open_guardrail
from ig_guardrail.drive.request import Ask
from ig_guardrail.evaluate.config import PromptSet, read_set
from ig_guardrail.evaluate.intervals import Estimate, ratio_of
from ig_guardrail.search import inference_guard
from ig_guardrail.search.follower import watched
from ig_guardrail.types import Append, Request, Sampling, Score

HERE = Path(__file__).parent
PROMPTS, TOKENS = 16, 48
FAR = 1.2  # times a threshold, for candidates that fail by far
PART = "what a risk exit could save, as a share of the work of the search"


@dataclass(slots=True)
class Failed:
    """Tokens of candidates that were read again and failed: in all, and of those that failed by far."""

    tokens: int = 0
    far: int = 0
    _moved: dict[int, int] = field(default_factory=dict)

    def see(self, request: Request, reply: Any) -> None:
        """Count what a request of the search was replied."""
        if isinstance(request, Append):
            self._moved |= {child.id: len(child.ids) for child in reply}
        if isinstance(request, Score) and request.kind == "cost":
            for node, cost in zip(request.nodes, reply, strict=True):
                tokens = self._moved.pop(node.id, 0)
                self.tokens += 0 if cost.within else tokens
                self.far += tokens if cost.pressure > FAR else 0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure what a risk exit could save.")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    guardrail = open_guardrail()
    layers, heads = guardrail.engine.info.layers, guardrail.panel.layers
    found: list[tuple[Failed, float]] = []
    asked = read_set(PromptSet(name="risky", kind="risky", file="packaged:risky", limit=PROMPTS))
    for prompt in track(asked, "prompts", console=Console(stderr=True)):
        failed = Failed()
        search = watched(inference_guard.search, failed.see)
        *_, last = guardrail.stream(Ask(prompt.turns, Sampling(0.7, 0.95, seed=0, max_tokens=TOKENS), search))
        assert last.receipt is not None
        found.append((failed, float(last.receipt.tokens["read"])))
    behind = 1 - min(heads) / layers
    read = [tokens for _, tokens in found]
    rows = [
        _row("failed", "tokens of candidates that failed, read again", ratio_of([s.tokens for s, _ in found], read)),
        _row(
            "most",
            f"their layers behind {min(heads)} of {layers}",
            ratio_of([behind * s.tokens for s, _ in found], read),
        ),
        _row("far", f"the same beyond {FAR} times a threshold", ratio_of([behind * s.far for s, _ in found], read)),
    ]
    tables.write_json(
        options.out / "risk-exit.json", {"measured": datetime.now(UTC).strftime("%Y-%m-%d"), "figures": rows}
    )
    Console().print(tables.terminal("risk exit", rows))
    return 0


def _row(name: str, title: str, found: Estimate) -> tables.Row:
    return tables.row(PART, name, title, found.value, [found.low, found.high], found.n)


if __name__ == "__main__":
    run(main)
