"""Stop strings: where the answer ends inside its text, however tokens cut the string.

Characters are read in order, and the first one that completes a stop string ends the answer. Where it completes several
(one is the end of another), the longest counts, so that nothing of any of them is shown. Where a stop string begins
with another, only the shorter can ever be completed.
"""

from __future__ import annotations

from collections.abc import Iterable


def first_stop(text: str, known: int, stops: Iterable[str]) -> int | None:
    """Where the stop string begins that is completed first behind the first `known` characters of `text`.

    Characters before `known` were searched already, so only the last few of them are looked at again.
    None if no stop string was completed.
    """
    found = ((text.find(stop, max(0, known - len(stop) + 1)), len(stop)) for stop in stops if stop)
    completed = [(start + length, start) for start, length in found if start >= 0]
    return min(completed)[1] if completed else None
