"""Stop strings: where the answer ends inside its text, however tokens cut the string."""

from __future__ import annotations

from collections.abc import Iterable


def first_stop(text: str, known: int, stops: Iterable[str]) -> int | None:
    """Where the earliest stop string begins that was completed after the first `known` characters of `text`.

    Characters before `known` were searched already, so only the last few of them are looked at again.
    None if no stop string was completed.
    """
    starts = (text.find(stop, max(0, known - len(stop) + 1)) for stop in stops if stop)
    return min((start for start in starts if start >= 0), default=None)
