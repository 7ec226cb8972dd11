"""What the packaged heads are worth when text is cut as the makers' tokenizer cuts it, beside how it was cut before.

Run: python benchmarks/pretokenizing.py --data dev-permissive.jsonl.gz [--rows 1000]
Prints, for each head and source, how many test rows become other tokens, and the AUC of both.
Heads were fitted to states of text that was cut without looking at digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.latent import read_latent_head
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.pretokenize import cut_as
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text.chat import chat_of
from ig_guardrail.learn.data.recipes import choose_rows, recipe_named
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.fitting.quality import ScoredSet, auc
from ig_guardrail.learn.fitting.states import read_means, token_ids

HEADS = ("harmful-help", "toxic-tone")
BEFORE, NOW = "gpt-2", "smollm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--rows", type=int, default=10**9, help="at most so many test rows a source")
    given = parser.parse_args()
    weights = load_weights("embedded", "cpu", "bfloat16")
    rows = read_rows(given.data).rows
    print("| head | source | test rows | become other tokens | AUC before | AUC now |")
    print("|---|---|---:|---:|---:|---:|")
    for head in HEADS:
        test = [row for row in choose_rows(recipe_named(head), rows) if row.split == "test"]
        for source in sorted({row.source for row in test}):
            mine = [row for row in test if row.source == source][: given.rows]
            print(f"| {head} | {source} | {_measure(weights, head, mine)} |", flush=True)


def _measure(weights: Weights, head: str, rows: Sequence[LabelledRow]) -> str:
    ids = {name: _read(weights, name, rows) for name in (BEFORE, NOW)}
    changed = [index for index, (one, other) in enumerate(zip(ids[BEFORE], ids[NOW], strict=True)) if one != other]
    now = _logits(weights, head, rows, NOW)
    before = now.copy()
    if changed:
        before[changed] = _logits(weights, head, [rows[index] for index in changed], BEFORE)
    return f"{len(rows)} | {len(changed)} | {_auc(rows, before):.4f} | {_auc(rows, now):.4f}"


def _read(weights: Weights, name: str, rows: Sequence[LabelledRow]) -> list[Any]:
    cut_as(weights.tokenizer, name)
    chat = chat_of(weights.tokenizer)
    return [token_ids(chat, row.prompt, row.text) for row in rows]


def _logits(weights: Weights, head: str, rows: Sequence[LabelledRow], name: str) -> NDArray[np.float64]:
    packaged = read_latent_head(files("ig_guardrail.artifacts") / head / weights.numerics, head, ())
    cut_as(weights.tokenizer, name)
    means = read_means(weights, [(row.prompt, row.text) for row in rows], (packaged.layer,))
    ends = np.stack([mean.values[-1, 0] for mean in means]).astype(np.float64)
    return np.asarray(ends @ packaged.weight)


def _auc(rows: Sequence[LabelledRow], logits: NDArray[np.float64]) -> float:
    harmful = np.array([row.label == "harmful" for row in rows], dtype=bool)
    return (
        float("nan") if harmful.all() or not harmful.any() else auc(ScoredSet(logits, harmful, tuple("" for _ in rows)))
    )


if __name__ == "__main__":
    main()
