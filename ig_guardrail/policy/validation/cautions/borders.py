"""Where a pattern can match at all: which characters may stand before, in and behind a match, by kind.

RE2's assertions ask only whether the text begins or ends, a line does, or a word does. So it is enough to follow, part
by part, which kinds of characters may lie on the two sides of a place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import TypeAlias

from ig_guardrail.policy.validation.regex import Asserts, Either, Part, Reads, Repeat, Sequence

NONE, WORD, LINE, OTHER = "none", "word", "line", "other"  # beyond the text, ASCII letters and digits, a line break
Sides: TypeAlias = frozenset[tuple[str, str]]  # kinds of the characters before and behind a place

_BEHIND = (NONE, WORD, LINE, OTHER)
EVERYWHERE: Sides = frozenset(product(_BEHIND, _BEHIND))
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))


@dataclass(slots=True)
class Walk:
    """Follows a tree.

    stuck   parts at which nothing went on; an assertion rather than the character that it rules out
    passed  where alternatives begin that something got through; tried: all that were looked at
    asked   the assertion just before
    """

    stuck: list[Reads | Asserts] = field(default_factory=list)
    passed: set[tuple[int, int]] = field(default_factory=set)
    tried: set[tuple[int, int]] = field(default_factory=set)
    asked: Asserts | None = None

    def after(self, part: Part, sides: Sides) -> Sides:
        """What may lie around the end of a part that begins where `sides` lie."""
        if not sides:
            return sides
        match part:
            case Reads():
                kinds = _kinds(part.ranges, bool(part.others))
                found = frozenset((kind, behind) for _, kind in sides if kind in kinds for behind in _BEHIND)
                blamed = self.asked if kinds and self.asked is not None else part
                self.stuck += [] if found else [blamed]
                self.asked = None if found else self.asked
                return found
            case Asserts():
                found = frozenset(one for one in sides if _holds(part.written, *one))
                self.stuck += [] if found else [part]
                self.asked = part
                return found
            case Sequence():
                for one in part.parts:
                    sides = self.after(one, sides)
                return sides
            case Either():
                return frozenset().union(*(self._branch(part, place, sides) for place in range(len(part.parts))))
            case Repeat():
                return self._repeated(part, sides)

    def _branch(self, part: Either, place: int, sides: Sides) -> Sides:
        at, before = part.places[place], set(self.tried)
        found = self.after(part.parts[place], sides)
        if found:
            self.passed.add(at)
        else:
            self.tried -= self.tried - before
        self.tried.add(at)
        return found

    def _repeated(self, part: Repeat, sides: Sides) -> Sides:
        for _ in range(part.least):
            before, sides = sides, self.after(part.part, sides)
            if sides == before:
                break
        reached, rounds = sides, 0
        while part.most is None or rounds < part.most - part.least:
            sides = self.after(part.part, sides)
            if sides <= reached:
                break
            reached, rounds = reached | sides, rounds + 1
        return reached


@lru_cache(maxsize=4096)
def _kinds(ranges: tuple[tuple[int, int], ...], others: bool) -> frozenset[str]:
    """The kinds of the characters in ranges, and of others beyond ASCII."""
    word, line = _shared(ranges, _WORD), _shared(ranges, ((10, 10),))
    other = others or sum(high - low + 1 for low, high in ranges) > word + line
    return frozenset(kind for kind, held in ((WORD, word), (LINE, line), (OTHER, other)) if held)


def _shared(ranges: tuple[tuple[int, int], ...], kind: tuple[tuple[int, int], ...]) -> int:
    """How many characters of a kind the ranges hold."""
    return sum(max(0, min(b, d) - max(a, c) + 1) for a, b in ranges for c, d in kind)


def _holds(assertion: str, before: str, behind: str) -> bool:
    match assertion:
        case "^" | r"\A":
            return before == NONE
        case "$" | r"\z":
            return behind == NONE
        case "(?m)^":
            return before in (NONE, LINE)
        case "(?m)$":
            return behind in (NONE, LINE)
    return ((before == WORD) != (behind == WORD)) == (assertion == r"\b")
