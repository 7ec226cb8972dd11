"""What the prompt screen flags: harmless and harmful prompts by other hands, and the policy's threshold beside others.

    python benchmarks/screen.py --data rows.jsonl.gz [--data MORE ...]

Needs labelled rows from outside the repository (sources and licences: docs/cost-models.md). No row that trained the
screen is counted. The committed tuning prompts are read too; the final ones are not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from command import run
from numpy.typing import NDArray
from rich.console import Console

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.prompts import read_prompts
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.quality import proportion
from ig_guardrail.types import CostModelSpec, Piece, Prompt

HERE = Path(__file__).parent
THRESHOLDS = (0.5, 0.7, 0.9)
HARMLESS, HARMFUL = "harmless prompts that are flagged", "harmful prompts that are flagged"


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts of one source; `untrained` leaves out the rows that the screen learned from."""

    part: str
    title: str
    source: str
    untrained: bool = True

    def holds(self, row: LabelledRow) -> bool:
        fresh = row.split != "train" or row.reserved or not self.untrained
        return row.source == self.source and fresh and bool(row.prompt.strip())


GROUPS = (
    Group(HARMLESS, "Dolly instructions", "Dolly subset", untrained=False),
    Group(HARMLESS, "Alpaca instructions", "Alpaca subset", untrained=False),
    Group(HARMFUL, "AILuminate demo, not trained on", "AILuminate demo"),
    Group(HARMFUL, "AdvBench, not trained on", "AdvBench"),
    Group(HARMFUL, "JailbreakBench goals", "JailbreakBench-artifacts", untrained=False),
)
OWN = (
    (HARMLESS, "this project's tuning prompts", "prompts-tuning-benign.jsonl"),
    (HARMFUL, "this project's tuning prompts (mild)", "prompts-tuning-risky.jsonl"),
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure which prompts the screen flags.")
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled rows; may be given again")
    parser.add_argument("--out", type=Path, default=HERE / "out")
    options = parser.parse_args(arguments)
    screen = build_cost_model(
        CostModelSpec("screen", "lexical", ("ncr",), {"model": "screen"}, 60.0), engine=None, base_dir=None
    )
    rows = [
        row
        for part, title, prompts in sorted(_prompts(options.data), key=lambda group: group[0] == HARMFUL)
        for row in _shares(part, title, _scores(screen, prompts))
    ]
    tables.write_json(
        options.out / "screen.json",
        {"measured": datetime.now(UTC).strftime("%Y-%m-%d"), "model": screen.sha256, "figures": rows},
    )
    Console().print(tables.terminal("prompt screen", rows))
    return 0


def _prompts(data: Sequence[Path]) -> Iterator[tuple[str, str, list[str]]]:
    rows = read_rows(data).rows
    for group in GROUPS:
        yield group.part, group.title, list(dict.fromkeys(row.prompt for row in rows if group.holds(row)))
    for part, title, name in OWN:
        yield part, title, [row.prompt for row in read_prompts(HERE / name)]


def _scores(screen: CostModel, prompts: Sequence[str]) -> NDArray[np.float64]:
    start = screen.start(Prompt((), ()))
    answers = screen.advance([(start, Piece(text, ended=True)) for text in prompts])
    return np.array([scores[0] for _, scores in answers])


def _shares(part: str, title: str, scores: NDArray[np.float64]) -> Iterator[tables.Row]:
    for threshold in THRESHOLDS if len(scores) else ():
        share = proportion(int((scores > threshold).sum()), len(scores))
        name, title_at = f"{title} {threshold:g}", f"{title}, score above {threshold:g}"
        yield tables.row(part, name, title_at, share.value, [share.low, share.high], len(scores))


if __name__ == "__main__":
    run(main)
