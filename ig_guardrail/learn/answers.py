"""The model's own answers to harmless questions, as labelled rows: the work behind `ig-guardrail train answers`.

Some questions are answered by a tool call as well, so that a head learns what a harmless call is. Answers of one seed
are the same on every run, whatever was interrupted. Questions whose prompts have the same number of tokens are answered
side by side.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TextIO

from ig_guardrail.engine.decoding.randomness import uniform
from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.loading.weights import Weights, vocabulary_of
from ig_guardrail.engine.text.chat import Chat, chat_of
from ig_guardrail.errors import RequestError
from ig_guardrail.learn.data.benign import DataSplit, benign_prompts, call_form, part_of
from ig_guardrail.learn.data.recipes import OWN_ANSWERS
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, learning_split
from ig_guardrail.learn.fitting.tensor_cache import progress_line
from ig_guardrail.text.calls import ResponseFormat
from ig_guardrail.types import Message, Sampling

BATCH = 32
TOKENS = 64
LICENCE = "Apache-2.0"

_SPLITS: Mapping[DataSplit, str] = {"judge": "reserved", "calibrate": "calibration", "evaluate": "test"}


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question, the tokens of its prompt, and the grammar that its answer must have, if any."""

    text: str
    ids: tuple[int, ...]
    grammar: str | None = None


def benign_row(prompt: str, answer: str) -> dict[str, str]:
    """The row of an answer to a benign question."""
    return {
        "prompt": prompt,
        "response": answer,
        "label": "safe",
        "source": OWN_ANSWERS,
        "licence": LICENCE,
        "split": split_of(prompt),
    }


def write_answers(
    weights: Weights,
    out: Path,
    temperature: float = 0.7,
    top_p: float = 0.95,
    seed: int = 0,
    questions: Sequence[str] | None = None,
    row: Callable[[str, str], Mapping[str, str]] = benign_row,
    calls: bool = True,
) -> int:
    """Answer every benign question and write one row each to `out` (.jsonl); the number of rows.

    questions: those to answer; all of the project's if None
    row: what is written of a prompt and its answer
    calls: whether some questions are answered by a tool call as well
    Answers have at most `TOKENS` tokens. The file appears when it is whole; until then its rows are kept beside it, and
    a run that was interrupted goes on where it stopped. Raises RequestError if `out` cannot be written.
    """
    chat = chat_of(weights.tokenizer)
    grammars = Grammars(vocabulary_of(weights), chat.text_ids)
    texts = benign_prompts() if questions is None else questions
    asked = [_asked(chat, text) for text in texts]
    asked += [_asked(chat, text, form) for text in texts if calls and (form := call_form(text)) is not None]
    sampling = Sampling(temperature, top_p, seed=seed)
    show = progress_line("answering")
    batches = list(_batches(asked))
    ends = list(accumulate(map(len, batches)))
    with _kept(out, _key(weights, asked, sampling), ends) as (file, kept):
        for batch, done in zip(batches, ends, strict=True):
            if done > kept:
                answers = _answer(weights, batch, sampling, grammars)
                rows = [row(one.text, answer) for one, answer in zip(batch, answers, strict=True)]
                file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
                file.flush()
            show(done, len(asked))
    return len(asked)


def write_answers_to(
    rows: Sequence[LabelledRow],
    weights: Weights,
    out: Path,
    temperature: float = 0.7,
    top_p: float = 0.95,
    seed: int = 0,
) -> int:
    """Answer the prompts of harmless rows, each once, and write one row each with the split of its prompt's.

    Otherwise as `write_answers`. Raises RequestError if no row is harmless and has a prompt.
    """
    splits = {row.prompt: row.split for row in rows if row.label == "safe" and row.prompt.strip()}
    if not splits:
        raise RequestError(
            "no row is labelled safe and has a prompt",
            where="--rows",
            why="answers show a head what the model says when nothing is wrong",
            fix='give rows such as {"prompt": ..., "response": ..., "label": "safe", "split": "train"}',
        )

    def row(prompt: str, answer: str) -> dict[str, str]:
        return {**benign_row(prompt, answer), "split": splits[prompt]}

    return write_answers(weights, out, temperature, top_p, seed, list(splits), row, calls=False)


def split_of(prompt: str) -> str:
    """The split of a question's answers; an eighth of those to learn from are for choosing settings."""
    part = part_of(prompt)
    if part == "train":
        return learning_split(prompt)
    return _SPLITS[part]


def _asked(chat: Chat, text: str, form: ResponseFormat | None = None) -> AskedQuestion:
    """With a form, the question says what it is."""
    whole = f"{form.instructions()}\n\n{text}" if form else text
    return AskedQuestion(whole, chat.answering([Message("user", whole)]), form.grammar(TOKENS) if form else None)


def _answer(weights: Weights, batch: Sequence[AskedQuestion], sampling: Sampling, grammars: Grammars) -> list[str]:
    """An answer to each question; all prompts have one length. Each question has a lane of its own."""
    import torch

    from ig_guardrail.engine.decoding.by_torch import allowed_tokens, sample_tokens
    from ig_guardrail.engine.kv.copied import empty_cache
    from ig_guardrail.engine.model import Model

    model, ends = Model(weights.model), vocabulary_of(weights).end
    forms = [None if one.grammar is None else grammars.compiled(one.grammar).after(()) for one in batch]
    lanes = [_lane(one.text) for one in batch]
    answers: list[list[int]] = [[] for _ in batch]
    going = [True] * len(batch)
    with torch.inference_mode():
        cache = empty_cache(model.config)
        logits = model.run([one.ids for one in batch], 1, (), past_key_values=cache).logits[:, -1]
        for position in range(TOKENS):
            uniforms = [uniform(sampling.seed, position, lane, 0) for lane in lanes]
            tokens, _ = sample_tokens(logits, sampling, None, uniforms, allowed_tokens(forms))
            for form, live, token in zip(forms, going, tokens, strict=True):
                if form is not None and live:
                    form.take(token)
            going = [live and token not in ends for live, token in zip(going, tokens, strict=True)]
            for answer, live, token in zip(answers, going, tokens, strict=True):
                answer += [token] if live else []
            if position + 1 == TOKENS or not any(going):
                break
            logits = model.run([[token] for token in tokens], 1, (), past_key_values=cache).logits[:, -1]
    return [weights.tokenizer.decode(answer, skip_special_tokens=True) for answer in answers]


def _lane(text: str) -> int:
    return int(digest_of(text, "")[:6], 16)


def _batches(asked: Sequence[AskedQuestion]) -> Iterator[list[AskedQuestion]]:
    """Words first, then calls; in each, those of one length side by side."""
    by_length: dict[tuple[bool, int], list[AskedQuestion]] = defaultdict(list)
    for one in asked:
        by_length[one.grammar is not None, len(one.ids)].append(one)
    for _, same in sorted(by_length.items()):
        yield from (same[start : start + BATCH] for start in range(0, len(same), BATCH))


@contextmanager
def _kept(out: Path, key: str, ends: Sequence[int]) -> Iterator[tuple[TextIO, int]]:
    """The file for rows that are not all there yet, and how many it holds; it becomes `out` at the end.

    ends: after how many rows a batch is whole. What was written of a batch that is not is cut off.
    """
    partial = out.with_name(f".{out.name}.{key}.partial")
    if out.is_dir():
        raise _unwritable(out, "it is a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        file = _opened_alone(partial)
    except BlockingIOError as error:
        raise RequestError(
            f"another run is writing {out}",
            where=str(out),
            why="two at once would write each answer twice, and thresholds that are set on them would be too sure",
            fix="wait until it has ended: what it wrote is kept, also if it is ended early",
        ) from error
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from error
    with file:
        file.seek(0)
        whole = file.read().split("\n")[:-1]
        kept = max((end for end in ends if end <= len(whole)), default=0)
        file.seek(0)
        file.truncate()
        file.write("".join(f"{line}\n" for line in whole[:kept]))
        yield file, kept
    os.replace(partial, out)


def _opened_alone(path: Path) -> TextIO:
    """The file, to be read and added to by this run alone, where the system has locks for files.

    Raises BlockingIOError while another run has it, or has just put it in place; OSError where it cannot be opened.
    """
    file = path.open("a+", encoding="utf-8")
    try:
        with suppress(ImportError):  # Windows
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise BlockingIOError
    except BaseException:
        file.close()
        raise
    return file


def _unwritable(out: Path, why: str) -> RequestError:
    return RequestError(f"answers cannot be written to {out}: {why}", where="--out", fix="name a new .jsonl file")


def _key(weights: Weights, asked: Sequence[AskedQuestion], sampling: Sampling) -> str:
    """What all answers depend on, hashed."""
    facts = [
        weights.sha256,
        weights.numerics,
        repr(sampling),
        TOKENS,
        BATCH,
        [[one.text, one.grammar] for one in asked],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
