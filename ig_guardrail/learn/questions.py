"""What a model is asked so that its own answers can be learned from: harmless questions, and prompts of data files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ig_guardrail.learn.answers import split_of
from ig_guardrail.learn.benign import benign_prompts
from ig_guardrail.learn.rows import digest_of, read_rows
from ig_guardrail.types import Turn

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and the one split that everything said to it belongs to."""

    text: str
    split: str

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("user", self.text),)


def questions(data: Sequence[Path], most: int) -> tuple[Question, ...]:
    """At most `most` of the project's harmless questions, and as many prompts of `data`, in an order by their hashes.

    Prompts that are reserved for judges or thresholds are left out. Raises DataError for malformed rows.
    """
    own = [Question(text, split_of(text)) for text in benign_prompts()]
    rows = [row for row in read_rows(data).rows if row.prompt.strip() and not row.reserved]
    given = {row.prompt: Question(row.prompt, row.split) for row in rows}
    return tuple(dict.fromkeys([*_first(own, most), *_first(given.values(), most)]))


def _first(asked: Iterable[Question], most: int) -> list[Question]:
    usable = [question for question in asked if question.split in SPLITS]
    return sorted(usable, key=lambda question: digest_of(question.text, ""))[:most]
