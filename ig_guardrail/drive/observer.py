"""Lets the program watch an answer being decoded: every draft as it is judged, every commit that the gate takes.

What is watched was not released, and may never be: an observer is a part of the program, as a recorder is, and never a
caller. It decides nothing. What one raises stops the answer, as any error does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ig_guardrail.types import Charge, Node


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an answer stands after a commit.

    charges   the whole account of what is committed, in order; a later commit may replace what was not released
    released  tokens that shown text rests on
    end       characters of the answer's text that were shown, or stand as if they had been
    given     of these, characters that nobody is shown: of a beginning that the caller wrote, of a hidden thought
    """

    charges: tuple[Charge, ...]
    released: int
    end: int
    given: int


class Observer(Protocol):
    """Somebody who watches one answer. Called where the answer is driven, between its steps."""

    def judged(self, draft: Node, charges: Sequence[Charge], within: bool) -> None:
        """A draft was judged, maybe not for the first time.

        charges: what it would be charged, by enforced budgets; within: whether all of them would last
        """

    def accepted(self, block: Node, progress: Progress) -> None:
        """The gate took a block, and what could be released was."""
