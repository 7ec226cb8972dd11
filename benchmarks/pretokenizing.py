"""What the packaged heads are worth when text is cut as the makers' tokenizer cuts it, beside how it was cut before.

Run: python benchmarks/pretokenizing.py [--data dev-permissive.jsonl.gz [--rows 1000]]
         [--prompts ailuminate-demo.jsonl] [--answers benign-answers.jsonl]
Prints, for each head and source, how many test rows become other tokens, and the AUC of both; for reward and critic,
how many prompts do, since their answers were recorded as tokens; and how often the early exit agrees with the model.
All were fitted to text that was cut without looking at digits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.assembly import packaged_exit
from ig_guardrail.costs.heads.latent import read_latent_head
from ig_guardrail.engine.loading.models import load_weights
from ig_guardrail.engine.loading.pretokenize import cut_as
from ig_guardrail.engine.loading.weights import Weights
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.learn.data.questions import SPLITS, Survey, survey
from ig_guardrail.learn.data.recipes import OWN_ANSWERS, choose_rows, recipe_named
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.early_exit import agreement, reading_of, recorded_states
from ig_guardrail.learn.fitting.quality import ScoredSet, auc
from ig_guardrail.learn.fitting.states import read_means, token_ids

REWARD_PROMPTS, CRITIC_PROMPTS = 120, 80  # as the cards say
HEADS = ("harmful-help", "toxic-tone")
BEFORE, NOW = "gpt-2", "smollm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--rows", type=int, default=10**9, help="at most so many test rows a source")
    parser.add_argument("--prompts", type=Path, help="what the critic was trained on besides harmless questions")
    parser.add_argument("--answers", type=Path, help="what `ig-guardrail train answers` wrote; measures the early exit")
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
    print("relevance:", _prompts(weights, survey([], REWARD_PROMPTS)))
    if given.prompts:
        print("foresight:", _prompts(weights, survey([given.prompts], CRITIC_PROMPTS)))
    if given.answers:
        print("exit:", _exit(weights, given.answers))


def _prompts(weights: Weights, asked: Survey) -> str:
    told = []
    for split in SPLITS:
        questions = asked.of(split)
        ids = {name: [_chat(weights, name).encode(one.turns).ids for one in questions] for name in (BEFORE, NOW)}
        told.append(f"{_changed(ids)} of {len(questions)} ({split})")
    return f"prompts that become other tokens: {', '.join(told)}"


def _exit(weights: Weights, answers: Path) -> str:
    rows = [row for row in read_rows([answers]).rows if row.source == OWN_ANSWERS and row.split == "test"]
    way_out = packaged_exit(SimpleNamespace(model_sha256=weights.sha256, numerics=weights.numerics))
    read_out, told = reading_of(weights.model), []
    for name in (BEFORE, NOW):
        _chat(weights, name)
        with TemporaryDirectory() as folder:
            states = recorded_states(
                weights, [(row.prompt, row.text) for row in rows], way_out.layer, Path(folder), silent
            )
        told.append(f"{agreement(way_out, states, read_out).value:.4f} of {len(states.lower)} tokens")
    ids = {name: _read(weights, name, rows) for name in (BEFORE, NOW)}
    return f"{_changed(ids)} of {len(rows)} answers become other tokens; it agrees on {told[0]} before, {told[1]} now"


def silent(done: int, total: int) -> None:
    """Progress that nobody is shown."""


def _changed(ids: dict[str, list[Any]]) -> int:
    return sum(one != other for one, other in zip(ids[BEFORE], ids[NOW], strict=True))


def _chat(weights: Weights, name: str) -> Chat:
    cut_as(weights.tokenizer, name)
    return chat_of(weights.tokenizer)


def _measure(weights: Weights, head: str, rows: Sequence[LabelledRow]) -> str:
    ids = {name: _read(weights, name, rows) for name in (BEFORE, NOW)}
    changed = [index for index, (one, other) in enumerate(zip(ids[BEFORE], ids[NOW], strict=True)) if one != other]
    now = _logits(weights, head, rows, NOW)
    before = now.copy()
    if changed:
        before[changed] = _logits(weights, head, [rows[index] for index in changed], BEFORE)
    return f"{len(rows)} | {len(changed)} | {_auc(rows, before):.4f} | {_auc(rows, now):.4f}"


def _read(weights: Weights, name: str, rows: Sequence[LabelledRow]) -> list[Any]:
    chat = _chat(weights, name)
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
