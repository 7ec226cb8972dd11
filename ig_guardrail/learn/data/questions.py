"""What a model is asked so that its own answers can be learned from: harmless questions, and prompts of data files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ig_guardrail.learn.answers import LICENCE, split_of
from ig_guardrail.learn.data.benign import benign_prompts
from ig_guardrail.learn.data.recipes import describe_sources
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.types import Message

SPLITS = ("train", "validation", "test")
OWN_QUESTIONS = "benign-questions"


@dataclass(frozen=True, slots=True)
class SurveyPrompt:
    """A prompt, and the one split that everything said to it belongs to."""

    text: str
    split: str

    @property
    def turns(self) -> tuple[Message, ...]:
        return (Message("user", self.text),)


@dataclass(frozen=True, slots=True)
class Survey:
    """What is asked; for cards, the questions' sources, the SHA-256 of data files by name, and `most` of `survey`."""

    questions: tuple[SurveyPrompt, ...]
    sources: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    most: int = 0

    def of(self, split: str) -> list[SurveyPrompt]:
        """The questions of one split, in order."""
        return [question for question in self.questions if question.split == split]

    def described(self, command: str) -> dict[str, Any]:
        """How it was made, how many questions each split has, and the files behind them."""
        files = "".join(f" --data {name}" for name in self.data)
        return {
            "command": f"{command} --prompts {self.most}{files} --out FOLDER",
            "questions": {split: len(self.of(split)) for split in SPLITS},
            **({"data_sha256": dict(self.data)} if self.data else {}),
        }


def survey(data: Sequence[Path], most: int) -> Survey:
    """At most `most` of the project's harmless questions, and as many prompts of `data`, in an order by their hashes.

    Prompts that are reserved for judges or thresholds are left out. Raises DataError for malformed rows.
    """
    own = [LabelledRow(text, None, "safe", None, OWN_QUESTIONS, LICENCE, split_of(text)) for text in benign_prompts()]
    rows = [*_first(own, most), *_first(read_rows(data).rows, most)]
    asked = dict.fromkeys(SurveyPrompt(row.prompt, row.split) for row in rows)
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in data}
    return Survey(tuple(asked), describe_sources(rows), hashes, most)


def _first(rows: Iterable[LabelledRow], most: int) -> list[LabelledRow]:
    """Rows of the first `most` prompts, one each."""
    usable = {row.prompt: row for row in rows if row.prompt.strip() and not row.reserved and row.split in SPLITS}
    return sorted(usable.values(), key=lambda row: digest_of(row.prompt, ""))[:most]
