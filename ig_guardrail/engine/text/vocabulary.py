"""What a model's tokens mean: how they spell text, which end an answer, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ig_guardrail.engine.text.detokenize import Detokenizer
from ig_guardrail.engine.text.thought_reader import ThoughtReader
from ig_guardrail.errors import RequestError


@dataclass(frozen=True, slots=True)
class TokenVocabulary:
    """A model's tokens: 0 to `size` - 1, of which those in `end` end an answer. thoughts: None where it has none."""

    detokenizer: Detokenizer
    end: frozenset[int]
    size: int
    thoughts: ThoughtReader | None = None

    @property
    def sha256(self) -> str:
        """Names what the tokens spell."""
        return self.detokenizer.sha256(self.size)

    def protected(self, tokens: Iterable[int]) -> frozenset[int]:
        """End tokens, and of some tokens the special ones (which spell nothing) and those of white space only."""
        asked = list(tokens)
        spelled = self.detokenizer.spelled(max(asked, default=-1) + 1)
        return self.end | {token for token in asked if not spelled[token].decode("utf-8", "replace").strip()}

    def check(self, ids: Iterable[int], where: str) -> None:
        """Raises RequestError if a token is not of this language."""
        strange = next((token for token in ids if not 0 <= token < self.size), None)
        if strange is not None:
            raise RequestError(
                f"token {strange} was given, and the model has {self.size} tokens",
                where=where,
                why="it was made for another model",
                fix=f"use token ids from 0 to {self.size - 1}; the engine's `encode` makes them",
            )
