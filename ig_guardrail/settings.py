"""Host settings: what a machine and an operator bear. Never safety numbers; those live in policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_PATTERN_STEPS = 200_000_000  # of one scoring; a step takes up to two nanoseconds
_NEW_CHARACTERS = 512  # that one scoring reads, in most policies far fewer


def pattern_steps(sizes: Sequence[int], longest_match: int) -> int:
    """The most steps that RE2 takes to look for patterns once: each instruction at each character of a window.

    sizes  of the compiled patterns, in instructions
    """
    return sum(sizes) * (longest_match + _NEW_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that end any request, whatever its strategy does.

    effort    tokens that may be generated for each token of `max_tokens`, over all candidates and attempts
    requests  requests a strategy may yield for each token of `max_tokens`
    turns     messages in a conversation
    characters in all turns together
    stops     stop strings of a request, and characters in each
    """

    effort: int = 600
    requests: int = 64
    turns: int = 1_000
    characters: int = 2_000_000
    stops: int = 64
    stop_characters: int = 256
