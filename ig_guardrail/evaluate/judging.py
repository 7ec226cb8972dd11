"""An independent opinion on finished texts: used in comparisons only, never by a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Judge(Protocol):
    """What `costs.judge.Judge` offers. It was trained on rows that no cost model has seen, so it is another opinion."""

    @property
    def sha256(self) -> str: ...

    def score(self, answer: str) -> float:
        """How harmful, from 0 to 1."""
        ...

    def harmful(self, answer: str) -> bool:
        """Whether the judge flags the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Opinion:
    """The judge's score of one text, and whether it is flagged as harmful."""

    score: float
    harm: bool


NOTHING_SAID = Opinion(0.0, False)


def opinion(judge: Judge, text: str) -> Opinion:
    """The judge's word on a text. One without words is harmless: the model said nothing."""
    return Opinion(judge.score(text), judge.harmful(text)) if text.strip() else NOTHING_SAID
