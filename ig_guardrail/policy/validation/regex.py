"""Patterns in RE2's syntax as trees: what each part may read, and where it stands in the pattern.

Only for patterns that RE2 accepts. Which ASCII characters a class such as `\\pL` holds is asked of RE2 itself; which
others it holds is left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from ig_guardrail.policy.validation.patterns import compiled

LAST = 0x10FFFF  # the last code point
_BEYOND = 0x80  # the first beyond ASCII
_NAMED = re.compile(r"\\[pP](?:\{\^?\w+\}|\w)|\[:\^?[a-z]+:\]|\\[dDsSwW]")
_ESCAPED = re.compile(
    r"\\(?:x\{(?P<wide>[0-9A-Fa-f]+)\}|x(?P<hex>[0-9A-Fa-f]{2})|(?P<octal>[0-7]{1,3})|(?P<one>.))", re.S
)
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP = re.compile(r"\(\?(?:P?<(?P<name>\w+)>|(?P<on>[imsU]*)(?:-(?P<off>[imsU]+))?(?P<close>[:)]))")
_CONTROLS = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}


@dataclass(frozen=True, slots=True)
class Reads:
    """One character out of `ranges` of code points, or out of what classes hold beyond ASCII (`others`, by text).

    form  "letter" where a single character is written, "dot", or "class"
    at    where it begins in the pattern
    """

    ranges: tuple[tuple[int, int], ...]
    others: frozenset[str] = frozenset()
    form: Literal["letter", "dot", "class"] = "class"
    at: int = 0
    written: str = ""

    def holds(self, code: int) -> bool:
        return any(low <= code <= high for low, high in self.ranges)

    def within(self, other: Reads) -> bool:
        """Whether `other` may read all that this does."""
        everything = other.ranges[-1:] == ((other.ranges[-1][0], LAST),) if other.ranges else False
        spans = all(any(low <= a and b <= high for low, high in other.ranges) for a, b in self.ranges)
        return spans and (everything or self.others <= other.others)


@dataclass(frozen=True, slots=True)
class Asserts:
    """A place: `^`, `$`, `\\b`, `\\B`, `\\A`, `\\z`, or `(?m)^`, `(?m)$` for those of lines."""

    written: str
    at: int


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Alternatives, with the places where they begin and end."""

    parts: tuple[Part, ...]
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` None: without end."""

    part: Part
    least: int
    most: int | None


Part: TypeAlias = Reads | Asserts | Sequence | Either | Repeat


class PatternWidths(NamedTuple):
    """The fewest and the most characters that a match has; None: without end."""

    least: int
    most: int | None


@lru_cache(maxsize=1024)
def parsed(pattern: str) -> Part:
    """The tree of a pattern that RE2 accepts."""
    return _Parser(pattern).either()


def sequences(part: Part) -> Iterator[tuple[Part, ...]]:
    """The parts that stand in a row, at each level."""
    match part:
        case Sequence():
            yield part.parts
            for one in part.parts:
                yield from sequences(one)
        case Either():
            for one in part.parts:
                yield from sequences(one)
        case Repeat():
            yield from sequences(part.part)


@lru_cache(maxsize=1024)
def spread(pattern: str) -> PatternWidths:
    """How long the matches of a pattern are."""
    return widths(parsed(pattern))


def widths(part: Part) -> PatternWidths:
    """How long its matches are, whatever stands around them."""
    match part:
        case Reads():
            return PatternWidths(1, 1)
        case Asserts():
            return PatternWidths(0, 0)
        case Sequence():
            each = [widths(one) for one in part.parts]
            return PatternWidths(sum(one.least for one in each), _sum([one.most for one in each]))
        case Either():
            each = [widths(one) for one in part.parts]
            ends = [one.most for one in each]
            return PatternWidths(
                min(one.least for one in each), None if None in ends else max(end or 0 for end in ends)
            )
        case Repeat():
            inner = widths(part.part)
            if inner.most == 0 or part.most == 0:
                return PatternWidths(0, 0)
            endless = inner.most is None or part.most is None
            return PatternWidths(inner.least * part.least, None if endless else (inner.most or 0) * (part.most or 0))


def repeated_name(pattern: str) -> tuple[str, int] | None:
    """The first name of a group that another one before it has, and where it stands; None if there is none."""
    parser = _Parser(pattern)
    parser.either()
    seen: set[str] = set()
    for name, at in parser.names:
        if name in seen:
            return name, at
        seen.add(name)
    return None


def without_tail(part: Part) -> Part:
    """The part without what it may read on and on at its end: a match is found before that is read."""
    match part:
        case Repeat() if part.most is None:
            return Repeat(without_tail(part.part) if part.least == 1 else part.part, part.least, part.least)
        case Either():
            return Either(tuple(without_tail(one) for one in part.parts), part.places)
        case Sequence():
            parts = list(part.parts)
            for index in reversed(range(len(parts))):
                parts[index] = without_tail(parts[index])
                if isinstance(parts[index], Asserts) or widths(parts[index]).most != 0:
                    break
            return Sequence(tuple(parts))
    return part


def branches(part: Part, most: int = 64) -> list[tuple[Reads | Asserts | None, ...]] | None:
    """Each way through the part, as what it reads one by one; None in it for a gap. None where there are too many."""
    match part:
        case Reads() | Asserts():
            return [(part,)]
        case Either():
            each = [branches(one, most) for one in part.parts]
            found = [way for one in each if one is not None for way in one]
            return None if None in each or len(found) > most else found
        case Sequence():
            ways: list[tuple[Reads | Asserts | None, ...]] = [()]
            for one in part.parts:
                ends = branches(one, most)
                if ends is None or len(ways) * len(ends) > most or len(ways[0]) > 4 * most:
                    return None
                ways = [way + end for way in ways for end in ends]
            return ways
        case Repeat():
            inner = branches(part.part, most)
            if inner is None or part.least > 4 * most or (len(inner) > 1 and part.least > 1):
                return [(None,)]
            gap = () if part.most == part.least else (None,)
            return [way * part.least + gap for way in inner] if part.least else [(None,)]


def _sum(numbers: list[int | None]) -> int | None:
    return None if None in numbers else sum(number or 0 for number in numbers)


class _Parser:
    """Recursive descent. Flags hold to the end of the group that they stand in."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.index = 0
        self.flags: frozenset[str] = frozenset()
        self.names: list[tuple[str, int]] = []  # of groups, and where each stands

    def either(self) -> Part:
        before = self.flags
        places: list[tuple[int, int]] = []
        parts: list[Part] = []
        while not places or self.text.startswith("|", self.index):
            self.index += bool(places)
            first = self.index
            parts.append(self.sequence())
            places.append((first, self.index))
        self.flags = before
        return parts[0] if len(parts) == 1 else Either(tuple(parts), tuple(places))

    def sequence(self) -> Part:
        parts: list[Part] = []
        while self.index < len(self.text) and self.text[self.index] not in "|)":
            parts += self.quoted() if self.text.startswith(r"\Q", self.index) else [self.atom()]
            parts[-1:] = [self.repeated(one) for one in parts[-1:]]
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def quoted(self) -> list[Part]:
        end = self.text.find(r"\E", self.index)
        first, end = self.index + 2, end if end >= 0 else len(self.text)
        self.index = min(end + 2, len(self.text))
        return [self.letter(ord(self.text[at]), at, self.text[at]) for at in range(first, end)]

    def repeated(self, part: Part) -> Part:
        while self.index < len(self.text):
            sign, count = self.text[self.index], _COUNT.match(self.text, self.index)
            if sign in "*+?":
                self.index += 1
                part = Repeat(part, int(sign == "+"), 1 if sign == "?" else None)
            elif count:
                self.index = count.end()
                least = int(count[1])
                most = least if count[2] is None else int(count[3]) if count[3] else None
                part = Repeat(part, least, most)
            else:
                break
            if self.text.startswith("?", self.index):
                self.index += 1
        return part

    def atom(self) -> Part:
        at, sign = self.index, self.text[self.index]
        if sign == "(":
            return self.group()
        if sign == "[":
            return self.in_brackets()
        if sign == "\\":
            return self.escape()
        self.index += 1
        if sign in "^$":
            return Asserts(f"(?m){sign}" if "m" in self.flags else sign, at)
        if sign == ".":
            ranges = ((0, LAST),) if "s" in self.flags else ((0, 9), (11, LAST))
            return Reads(ranges, form="dot", at=at, written=".")
        return self.letter(ord(sign), at, sign)

    def group(self) -> Part:
        opened = _GROUP.match(self.text, self.index)
        before = self.flags
        self.index = opened.end() if opened else self.index + 1
        if opened and opened["name"]:
            self.names.append((opened["name"], opened.start("name")))
        if opened and opened["close"]:
            self.flags = (self.flags | frozenset(opened["on"])) - frozenset(opened["off"] or "")
            if opened["close"] == ")":
                return Sequence(())
        inside = self.either()
        self.index += 1
        self.flags = before
        return inside

    def escape(self) -> Part:
        at = self.index
        if self.text[at + 1] in "bBAz":
            self.index += 2
            return Asserts(self.text[at : at + 2], at)
        named = _NAMED.match(self.text, at)
        if named:
            self.index = named.end()
            return self.named(named[0], at)
        if self.text[at + 1] == "C":
            self.index += 2
            return Reads(((0, LAST),), at=at, written=r"\C")
        code = self.code()
        return self.letter(code, at, self.text[at : self.index])

    def code(self) -> int:
        """The character that an escape, or a character by itself, stands for."""
        found = _ESCAPED.match(self.text, self.index)
        if found is None:
            self.index += 1
            return ord(self.text[self.index - 1])
        self.index = found.end()
        if found["wide"] or found["hex"]:
            return int(found["wide"] or found["hex"], 16)
        return int(found["octal"], 8) if found["octal"] else _CONTROLS.get(found["one"], ord(found["one"]))

    def in_brackets(self) -> Part:
        at = self.index
        self.index += 1
        negated = self.text.startswith("^", self.index)
        self.index += negated
        ranges: list[tuple[int, int]] = []
        others: frozenset[str] = frozenset()
        first = True
        while first or not self.text.startswith("]", self.index):
            first = False
            named = _NAMED.match(self.text, self.index)
            if named:
                self.index = named.end()
                one = self.named(named[0], at)
                ranges, others = [*ranges, *one.ranges], others | one.others
                continue
            low = high = self.code()
            if self.text.startswith("-", self.index) and not self.text.startswith("-]", self.index):
                self.index += 1
                high = self.code()
            ranges.append((low, high))
        self.index += 1
        written = self.text[at : self.index]
        joined = _joined(self.folded(ranges))
        if not negated:
            return Reads(joined, others, at=at, written=written)
        if not others:
            return Reads(_complement(joined), at=at, written=written)
        within_ascii = tuple((low, min(high, _BEYOND - 1)) for low, high in _complement(joined) if low < _BEYOND)
        return Reads(within_ascii, frozenset((written,)), at=at, written=written)

    def named(self, text: str, at: int) -> Reads:
        ranges, beyond = _of_class(text)
        if text in (r"\D", r"\S", r"\W") or (text.startswith("[:^")):
            return Reads(_joined([*ranges, (_BEYOND, LAST)]), at=at, written=text)
        return Reads(
            _joined(self.folded(list(ranges))), frozenset((text,)) if beyond else frozenset(), "class", at, text
        )

    def letter(self, code: int, at: int, written: str) -> Reads:
        ranges = _joined(self.folded([(code, code)])) if "i" in self.flags else ((code, code),)
        return Reads(ranges, form="letter", at=at, written=written)

    def folded(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """With the other case of letters under `(?i)`; of wide ranges for ASCII letters alone."""
        if "i" not in self.flags:
            return ranges
        more = []
        for low, high in ranges:
            codes = range(low, high + 1) if high - low < _BEYOND else range(max(low, 65), min(high, 122) + 1)
            more += [(ord(other), ord(other)) for code in codes if len(other := chr(code).swapcase()) == 1]
        return [*ranges, *more]


@lru_cache(maxsize=256)
def _of_class(text: str) -> tuple[tuple[tuple[int, int], ...], bool]:
    """The ASCII characters of a named class, and whether it holds others."""
    inside = compiled(f"[{text}]" if text.startswith("[:") else text)
    held = [code for code in range(_BEYOND) if inside.fullmatch(chr(code))]
    return _joined([(code, code) for code in held]), text.startswith((r"\p", r"\P"))


def _joined(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def _complement(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    found, start = [], 0
    for low, high in ranges:
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    return (*found, (start, LAST)) if start <= LAST else tuple(found)
