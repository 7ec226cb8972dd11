"""The model's own answers to harmless questions, as labelled rows: the work behind `ig-guardrail train answers`.

Answers of one seed are the same on every run, whatever was interrupted. Questions whose prompts have the same number of
tokens are answered side by side.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ig_guardrail.engine.chat import chat_of
from ig_guardrail.engine.randomness import uniform
from ig_guardrail.engine.weights import Weights, language_of
from ig_guardrail.learn.benign import Part, benign_prompts, part_of
from ig_guardrail.learn.progress import progress_line
from ig_guardrail.learn.recipes import OWN_ANSWERS
from ig_guardrail.learn.rows import digest_of
from ig_guardrail.types import Sampling, Turn

BATCH = 32
TOKENS = 64
LICENCE = "Apache-2.0"

_SPLITS: Mapping[Part, str] = {"judge": "reserved", "calibrate": "calibration", "evaluate": "test"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the tokens of its prompt."""

    text: str
    ids: tuple[int, ...]


def write_answers(weights: Weights, out: Path, temperature: float = 0.7, top_p: float = 0.95, seed: int = 0) -> int:
    """Answer every benign question and write one row each to `out` (.jsonl); the number of rows.

    The file appears when it is whole. Answers have at most `TOKENS` tokens.
    """
    chat = chat_of(weights.tokenizer)
    asked = [Asked(text, chat.encode([Turn("user", text)]).ids) for text in benign_prompts()]
    show = progress_line("answering")
    rows: list[dict[str, str]] = []
    for batch in _batches(asked):
        answers = _answer(weights, batch, Sampling(temperature, top_p, seed=seed))
        rows += [_row(one.text, answer) for one, answer in zip(batch, answers, strict=True)]
        show(len(rows), len(asked))
    _write(out, rows)
    return len(rows)


def split_of(prompt: str) -> str:
    """The split of a question's answers; an eighth of those to learn from are for choosing settings."""
    part = part_of(prompt)
    if part == "train":
        return "validation" if int(digest_of(prompt, "")[8:16], 16) % 8 == 0 else "train"
    return _SPLITS[part]


def _answer(weights: Weights, batch: Sequence[Asked], sampling: Sampling) -> list[str]:
    """An answer to each question; all prompts have one length. Each question has a lane of its own."""
    import torch

    from ig_guardrail.engine.model import Model
    from ig_guardrail.engine.repeat import empty_cache
    from ig_guardrail.engine.sampling import choose

    model, ends = Model(weights.model), language_of(weights).end
    lanes = [_lane(one.text) for one in batch]
    answers: list[list[int]] = [[] for _ in batch]
    going = [True] * len(batch)
    with torch.inference_mode():
        cache = empty_cache(model.config)
        logits = model.run([one.ids for one in batch], 1, (), past_key_values=cache).logits[:, -1]
        for position in range(TOKENS):
            tokens, _ = choose(logits, sampling, None, [uniform(sampling.seed, position, lane, 0) for lane in lanes])
            going = [live and token not in ends for live, token in zip(going, tokens, strict=True)]
            for answer, live, token in zip(answers, going, tokens, strict=True):
                answer += [token] if live else []
            if position + 1 == TOKENS or not any(going):
                break
            logits = model.run([[token] for token in tokens], 1, (), past_key_values=cache).logits[:, -1]
    return [weights.tokenizer.decode(answer, skip_special_tokens=True) for answer in answers]


def _lane(text: str) -> int:
    return int(digest_of(text, "")[:6], 16)


def _batches(asked: Sequence[Asked]) -> Iterator[list[Asked]]:
    by_length: dict[int, list[Asked]] = defaultdict(list)
    for one in asked:
        by_length[len(one.ids)].append(one)
    for _, same in sorted(by_length.items()):
        yield from (same[start : start + BATCH] for start in range(0, len(same), BATCH))


def _row(prompt: str, answer: str) -> dict[str, str]:
    return {
        "prompt": prompt,
        "response": answer,
        "label": "safe",
        "source": OWN_ANSWERS,
        "licence": LICENCE,
        "split": split_of(prompt),
    }


def _write(out: Path, rows: Sequence[Mapping[str, str]]) -> None:
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
