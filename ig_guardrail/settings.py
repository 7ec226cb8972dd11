"""Host settings: what a machine and an operator bear. Never safety numbers; those live in policies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that end any request, whatever its strategy does.

    effort    tokens that may be generated for each token of `max_tokens`, over all candidates and attempts
    requests  requests a strategy may yield for each token of `max_tokens`
    searching seconds of a request in which drafts are denied and nothing that may be said is found yet, together
    turns     messages in a conversation
    characters in all turns together
    stops     stop strings of a request, and characters in each
    biases    tokens of a request's `logit_bias`
    """

    effort: int = 600
    requests: int = 64
    searching: float = 60.0
    turns: int = 1_000
    characters: int = 2_000_000
    stops: int = 64
    stop_characters: int = 256
    biases: int = 1_024
