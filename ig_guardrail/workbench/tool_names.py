"""Which patterns of tool names any name can fit at once: exact, by following all patterns letter by letter."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from string import ascii_lowercase, digits

MOST_STATES = 20_000
OTHERS = ascii_lowercase[-3:] + ascii_lowercase + digits  # for a letter that no pattern has

Places = frozenset[int]


class TooManyNames(Exception):
    """The patterns overlap in more ways than are looked through."""


def names_by_patterns(patterns: Sequence[str]) -> dict[frozenset[str], str]:
    """For every set of patterns that a name fits, and no other of these patterns, a shortest such name.

    Raises TooManyNames.
    """
    letters = sorted({letter for one in patterns for letter in one if letter != "*"})
    letters = (
        [next(letter for letter in OTHERS if letter not in letters), *letters] if len(letters) < 30 else [*letters, "~"]
    )
    begun = tuple(_reached(one, frozenset((0,))) for one in patterns)
    found: dict[frozenset[str], str] = {}
    seen: set[tuple[Places, ...]] = set()  # after one letter or more: no tool is called nothing
    waiting = deque([(begun, "")])
    while waiting:
        state, name = waiting.popleft()
        if name:
            fits = frozenset(one for one, places in zip(patterns, state, strict=True) if len(one) in places)
            found.setdefault(fits, name)
        for letter in letters:
            after = tuple(_step(one, places, letter) for one, places in zip(patterns, state, strict=True))
            if after not in seen:
                seen.add(after)
                waiting.append((after, name + letter))
        if len(seen) > MOST_STATES:
            raise TooManyNames("the patterns of tool names overlap in too many ways")
    return found


def _step(pattern: str, places: Places, letter: str) -> Places:
    """The places in a pattern after one more letter; a `*` stays where it is."""
    on = {place for place in places if place < len(pattern) and pattern[place] == "*"}
    past = {place + 1 for place in places if place < len(pattern) and pattern[place] == letter}
    return _reached(pattern, frozenset(on | past))


def _reached(pattern: str, places: Places) -> Places:
    """These places, and those behind each `*`, which may stand for nothing."""
    behind = (
        itertools.takewhile(lambda place: pattern[place - 1 : place] == "*", itertools.count(start + 1))
        for start in places
    )
    return places | frozenset(itertools.chain(*behind))
