"""Which patterns of tool names any name can fit at once: exact, by following all patterns letter by letter."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache
from string import ascii_lowercase, digits
from typing import Any, TypeAlias

from ig_guardrail.costs.calls.rules import name_pattern

MOST_STEPS = 500_000  # letters that patterns are followed by
STRANGE = "xyz" + ascii_lowercase + digits + "_-"  # of these, a letter that no pattern has

PatternPlaces: TypeAlias = frozenset[int]


class TooManyNames(Exception):
    """The patterns overlap in more ways than are looked through."""

    def __init__(self) -> None:
        super().__init__("the patterns of tool names overlap in too many ways")


def names_by_patterns(patterns: Sequence[str]) -> dict[frozenset[str], str]:
    """For every set of patterns that a name fits, and no other of these patterns, such a name; a short one.

    Raises TooManyNames.
    """
    forms = {one: name_pattern(one) for one in patterns if "*" in one}
    written = {one for one in patterns if "*" not in one}
    strange = next((letter for letter in STRANGE if not any(letter in one for one in patterns)), "~")
    found = {_fits(forms, name) | {name}: name for name in written}
    for name in _names(list(forms), strange):
        fits = _fits(forms, name)
        other = name if fits in found or name not in written else _unwritten(name, fits, forms, written, strange)
        if other is not None:
            found.setdefault(fits, other)
    return found


def _fits(forms: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(one for one, form in forms.items() if form.fullmatch(name))


def _unwritten(
    name: str, fits: frozenset[str], forms: Mapping[str, Any], written: Container[str], strange: str
) -> str | None:
    """A name that fits the same and is not written out; None if there is none. Raises TooManyNames."""
    barred = [name]
    while True:
        same = (one for one in _names([*forms, *barred], strange) if one not in barred and _fits(forms, one) == fits)
        other = next(same, None)
        if other is None or other not in written:
            return other
        barred.append(other)


def _names(patterns: Sequence[str], strange: str) -> Iterator[str]:
    """Shortest names for each way to stand in all patterns at once. Raises TooManyNames."""
    letters = [strange, *sorted({letter for one in patterns for letter in one if letter != "*"})]
    step = cache(_step)
    seen: set[tuple[PatternPlaces, ...]] = set()  # after one letter or more: no tool is called nothing
    waiting = deque([(tuple(_reached(one, frozenset((0,))) for one in patterns), "")])
    while waiting:
        state, name = waiting.popleft()
        if name:
            yield name
        for letter in letters:
            after = tuple(step(one, places, letter) for one, places in zip(patterns, state, strict=True))
            if after not in seen:
                seen.add(after)
                waiting.append((after, name + letter))
        if len(seen) * len(letters) * len(patterns) > MOST_STEPS:
            raise TooManyNames


def _step(pattern: str, places: PatternPlaces, letter: str) -> PatternPlaces:
    """The places in a pattern after one more letter; a `*` stays where it is."""
    on = {place for place in places if pattern[place : place + 1] == "*"}
    past = {place + 1 for place in places if pattern[place : place + 1] == letter}
    return _reached(pattern, frozenset(on | past))


def _reached(pattern: str, places: PatternPlaces) -> PatternPlaces:
    """These places, and those behind each `*`, which may stand for nothing."""
    behind = (
        itertools.takewhile(lambda place: pattern[place - 1 : place] == "*", itertools.count(start + 1))
        for start in places
    )
    return places | frozenset(itertools.chain(*behind))
