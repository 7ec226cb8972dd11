"""The token-frequency penalty of penalise-and-resample.

Source: arXiv 2502.01208, section on resampling (figure caption of v3); the formula's constants are not published.
Departure: logit -= strength * attempt * min(1, 2 * share of failed candidates that hold the token), so one common
word of one failed candidate is hardly touched and a word of all of them fully. End, special and whitespace tokens are
never touched, and nothing is kept after a block succeeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def frequency_penalty(
    failed: Sequence[Sequence[int]], strength: float, attempt: int, protected: frozenset[int]
) -> tuple[tuple[int, float], ...]:
    """(token, logit bias <= 0) for the tokens of the failed blocks, by token id. attempt counts from 1."""
    if not failed or strength == 0:
        return ()
    holders = Counter(token for block in failed for token in set(block) - protected)
    scale = strength * attempt
    return tuple((token, -scale * min(1.0, 2 * n / len(failed))) for token, n in sorted(holders.items()))
