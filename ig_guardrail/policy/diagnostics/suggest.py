"""The word someone probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 64  # characters; a longer word is not a misspelling of anything known


def suggest(word: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known word closest to `word`, letter case aside; None if none is close. `alike`: 0 anything, 1 equal."""
    if len(word) > LONGEST:
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=alike)
    return by_lower[close[0]] if close else None
