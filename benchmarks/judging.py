"""What the packaged judge is worth on rows that it has not learned, nor near copies of them.

Run: python benchmarks/judging.py --data dev-permissive.jsonl.gz [--note]
`--note` writes the figures into the judge's card; its tensors stay as they are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ig_guardrail.artifacts
from ig_guardrail.costs.heads.judge import read_judge
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.card import add_to_card
from ig_guardrail.learn.judge import quality_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--note", action="store_true")
    given = parser.parse_args()
    judge = read_judge()

    def logits(topic: str, rows: Sequence[LabelledRow]) -> NDArray[np.float64]:
        return np.array([judge.topics[topic].logit(row.text) for row in rows])

    quality = quality_of(logits, read_rows(given.data).rows)
    print(json.dumps(quality, indent=2))
    if given.note:
        add_to_card(Path(ig_guardrail.artifacts.__path__[0]) / "judge", "quality", quality)


if __name__ == "__main__":
    main()
