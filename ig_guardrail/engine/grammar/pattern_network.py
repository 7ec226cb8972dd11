"""Expressions as automata. Read by Python's own parser of expressions, with the classes of ASCII."""

from __future__ import annotations

import re._constants as _c  # type: ignore[import-not-found,import-untyped,unused-ignore]
import re._parser as _parser  # type: ignore[import-not-found,import-untyped,unused-ignore]
import warnings
from functools import lru_cache
from typing import Any

from ig_guardrail.engine.grammar.network import ANY, LAST, Automaton, Letters, Net, Unread, automaton, letters, without

MOST_TIMES = 3_000  # that a part is repeated

_DIGITS: Letters = ((48, 57),)
_WORD: Letters = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE = letters(" \t\n\r\f\v")
_CLASSES = {
    _c.CATEGORY_DIGIT: _DIGITS,
    _c.CATEGORY_NOT_DIGIT: without(ANY, _DIGITS),
    _c.CATEGORY_WORD: _WORD,
    _c.CATEGORY_NOT_WORD: without(ANY, _WORD),
    _c.CATEGORY_SPACE: _SPACE,
    _c.CATEGORY_NOT_SPACE: without(ANY, _SPACE),
}


@lru_cache(maxsize=256)
def whole(pattern: str) -> Automaton:
    """Texts that are of an expression from end to end. Raises Unread for what is not read."""
    net = Net()
    start, end = net.node(), net.node()
    _Reading(net, end, True).sequence(_parsed(pattern), start, end)
    return automaton(net, start, end)


@lru_cache(maxsize=256)
def found(pattern: str) -> Automaton:
    """Texts in which an expression is found. Raises Unread for what is not read."""
    net = Net()
    start, before, after, end = net.node(), net.node(), net.node(), net.node()
    parsed = _parsed(pattern)
    net.read(start, ANY, before)
    net.read(before, ANY, before)
    net.read(after, ANY, after)
    net.skip(after, end)
    _Reading(net, end, True).sequence(parsed, start, after)
    _Reading(net, end, False).sequence(parsed, before, after)
    return automaton(net, start, end)


def at_least(count: int, most: int | None = None) -> Automaton:
    """Texts of at least so many characters, and at most `most`."""
    net = Net()
    start = last = net.node()
    for _ in range(count):
        last = net.read(last, ANY, net.node())
    end = net.node()
    net.skip(last, end)
    if most is None:
        net.read(last, ANY, last)
    for _ in range(count, most or count):
        last = net.read(last, ANY, net.node())
        net.skip(last, end)
    return automaton(net, start, end)


def _parsed(pattern: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _parser.parse(pattern)
    except (_c.error, OverflowError, RecursionError) as error:
        raise Unread(f"the pattern {pattern!r:.80} is not read") from error


class _Reading:
    """Writes parsed expressions into a network. begun: whether it stands at the start of the text."""

    def __init__(self, net: Net, end: int, begun: bool) -> None:
        self._net = net
        self._end = end
        self._begun = begun
        self._dots = 0

    def sequence(self, parts: Any, start: int, end: int) -> None:
        last = len(parts) - 1
        for at, part in enumerate(parts):
            to = end if at == last else self._net.node()
            self._part(part, start, to)
            start = to
        if last < 0:
            self._net.skip(start, end)

    def _part(self, part: Any, start: int, end: int) -> None:
        kind, value = part
        net = self._net
        if kind is _c.LITERAL:
            net.read(start, ((value, value),), end)
        elif kind is _c.NOT_LITERAL:
            net.read(start, without(ANY, ((value, value),)), end)
        elif kind is _c.ANY:
            net.read(start, ANY if self._dots else without(ANY, ((10, 10),)), end)
        elif kind is _c.IN:
            net.read(start, _set(value), end)
        elif kind is _c.BRANCH:
            for way in value[1]:
                self.sequence(way, start, end)
        elif kind is _c.SUBPATTERN:
            _, added, dropped, inner = value
            if (added | dropped) & (_c.SRE_FLAG_IGNORECASE | _c.SRE_FLAG_MULTILINE | _c.SRE_FLAG_VERBOSE):
                raise Unread("a pattern changes how letters are read")
            self._dots += bool(added & _c.SRE_FLAG_DOTALL)
            self.sequence(inner, start, end)
            self._dots -= bool(added & _c.SRE_FLAG_DOTALL)
        elif kind in (_c.MAX_REPEAT, _c.MIN_REPEAT, _c.POSSESSIVE_REPEAT):
            least, most, inner = value
            self._repeat(least, most, inner, start, end)
        elif kind is _c.AT and value in (_c.AT_BEGINNING, _c.AT_BEGINNING_STRING):
            if self._begun:
                net.skip(start, end)
        elif kind is _c.AT and value in (_c.AT_END, _c.AT_END_STRING):
            net.skip(start, self._end)
        else:
            raise Unread("a pattern looks around")

    def _repeat(self, least: int, most: Any, inner: Any, start: int, end: int) -> None:
        net, endless = self._net, most is _c.MAXREPEAT
        if least > MOST_TIMES or (not endless and most > MOST_TIMES):
            most, endless, least = _c.MAXREPEAT, True, min(least, MOST_TIMES)
        for _ in range(least):
            to = net.node()
            self.sequence(inner, start, to)
            start = to
        if endless:
            loop = net.skip(start, net.node())
            self.sequence(inner, loop, loop)
            net.skip(loop, end)
            return
        for _ in range(most - least):
            net.skip(start, end)
            to = net.node()
            self.sequence(inner, start, to)
            start = to
        net.skip(start, end)


def _set(parts: Any) -> Letters:
    ranges: list[tuple[int, int]] = []
    negated = False
    for kind, value in parts:
        if kind is _c.NEGATE:
            negated = True
        elif kind is _c.LITERAL:
            ranges.append((value, value))
        elif kind is _c.RANGE:
            ranges.append((value[0], min(value[1], LAST)))
        elif kind is _c.CATEGORY:
            ranges += _CLASSES[value]
        else:
            raise Unread("a set of characters is not read")
    made = tuple(sorted(ranges))
    return without(ANY, made) if negated else made
