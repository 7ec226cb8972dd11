"""Patterns that must not appear: linear-time regular expressions with a declared longest match.

The event is a match that ends in the newest piece, wherever it began, in any reading of the text (`normalisation`);
text that was read before is looked back over by as much as a match can span. A match longer than declared does not
count. One that depends on what follows it (`$`, `\\b`, an accent that may yet come) counts once that is known, in the
next piece if need be, so any cut finds what the whole text has. Classes such as `\\w` and `\\b` are ASCII, as RE2
defines them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.errors import CostFailure, ModelError
from ig_guardrail.text.normalisation import compose, folded
from ig_guardrail.text.re2 import MEMORY, MOST_STEPS, compile_re2, reaching, spellings, steps_of
from ig_guardrail.types import Granularity, Piece, Prompt, ScoreKind

_SHARED = 128 << 20  # bytes of memory that many patterns share
_LEAST = 1 << 20
_FOLLOWING = "a\n "  # a character of each kind that an assertion can tell from the end of the text
_ASSERTS_AN_END = re.compile(r"\$|\\[bBz]")
_LEADING = re.compile(r"^(?:\(\?[a-zA-Z]+\))?(?:\\b|\^)?")


@dataclass(frozen=True, slots=True)
class CompiledPattern:
    """One pattern, compiled to tell where matches end.

    last    reaches from any place to the furthest end of any match behind it
    before  the same, and over one character more, so that a match is seen with what follows it
    looks   whether a match may depend on what follows it
    """

    last: Any
    before: Any
    looks: bool


@dataclass(frozen=True, slots=True)
class PatternState:
    """The ends of a text's readings that a later match may reach back into, each at most `longest_match` + 2 long.

    waiting  the end of the composed reading that more text may change
    counted  whether matches that end with the text were counted; what is decided late about its end adds nothing then
    found    the places of the patterns that matched in the newest piece
    """

    written: str = ""
    composed: str = ""
    waiting: str = ""
    folded: str = ""
    counted: bool = False
    found: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A reading of the text in which matches are looked for that end behind `border`, and whether it ends there."""

    text: str
    border: int
    ended: bool


@dataclass(frozen=True, slots=True, eq=False)
class PatternCost:
    """1.0 where one of the patterns matches up to a character of the newest piece, else 0.0.

    Charged at block points. The gate holds back `longest_match` characters, so a match is found before it can be shown.

    names      how receipts call the patterns: a name, or the place in the list
    normalise  whether disguised spellings match; else code points are compared as they are written
    any        all patterns as one, to tell in one pass that there is no match; None where they are too large for that
    """

    name: str
    hazards: tuple[str, ...]
    sha256: str
    expressions: tuple[CompiledPattern, ...]
    longest_match: int
    names: tuple[str | int, ...]
    normalise: bool
    any: Any = None
    granularity: Granularity = "block"
    reading: ScoreKind = "event"
    layers: tuple[int, ...] = ()

    def start(self, prompt: Prompt) -> PatternState:
        """Nothing of the answer was read; the prompt is not."""
        return PatternState()

    def advance(self, steps: Sequence[tuple[PatternState, Piece]]) -> list[tuple[PatternState, tuple[float, ...]]]:
        """Search each piece with what went before it. Raises CostFailure for text that is not Unicode."""
        return [self._advance(read, piece) for read, piece in steps]

    def fired(self, state: PatternState) -> tuple[str | int, ...]:
        """The patterns that the score which came with `state` rests on."""
        return tuple(self.names[place] for place in state.found)

    def _advance(self, read: PatternState, piece: Piece) -> tuple[PatternState, tuple[float, ...]]:
        behind, views = self._read(read, piece)
        try:
            found = tuple(sorted({place for view in views for place in self._found(view)}))
        except UnicodeError as error:
            raise CostFailure("the text is not Unicode", where=f"cost_models.{self.name}", why=str(error)) from error
        counted = bool(found) or (read.counted and not piece.text)
        after = PatternState(*behind, counted=counted, found=found)
        return after, (float(bool(found)),) * len(self.hazards)

    def _read(self, read: PatternState, piece: Piece) -> tuple[tuple[str, str, str, str], list[View]]:
        """The ends of the readings after a piece, and the readings in which to look for matches: those that differ."""
        late = 0 if read.counted else 1
        written = View(read.written + piece.text, len(read.written) - late, piece.ended)
        if not self.normalise:
            return (self._tail(written.text), "", "", ""), [written]
        settled, waiting = compose(read.waiting, piece.text, piece.ended)
        over = len(unicodedata.normalize("NFKC", read.waiting)) if read.counted else 0
        composed = View(read.composed + settled, len(read.composed) + over - late, piece.ended)
        plain = View(read.folded + folded(piece.text, read.folded), len(read.folded) - late, piece.ended)
        views = [written]
        if (plain.text, plain.border) != (written.text, written.border):
            views.append(plain)
        if not any(self._covers(view.text, composed, waiting) for view in views):
            views.append(composed)
        return (self._tail(written.text), self._tail(composed.text), waiting, self._tail(plain.text)), views

    def _covers(self, text: str, composed: View, waiting: str) -> bool:
        """Whether a reading ends with all that a match can span in what the composed one has to be searched for."""
        whole = composed.text + waiting
        spanned = len(whole) - composed.border + self.longest_match
        return whole == text or (len(text) >= spanned and whole.endswith(text))

    def _tail(self, text: str) -> str:
        """As much as a match can span that ends with the next character, and two: one decided late, one of context."""
        return text[-self.longest_match - 2 :]

    def _found(self, view: View) -> Iterator[int]:
        """The places of the patterns of which a match ends behind the border."""
        if self.any is not None:
            reach = self.any.match(view.text, self._first(view.border))
            if reach is None or reach.end() <= view.border:
                return
        for place, expression in enumerate(self.expressions):
            if self._ends(expression, view):
                yield place

    def _ends(self, expression: CompiledPattern, view: View) -> bool:
        """Whether a match of at most `longest_match` characters ends behind the border, whatever follows the text."""
        reach = expression.last.match(view.text, self._first(view.border))
        if reach is None or reach.end() <= view.border:
            return False
        at_end = reach.end() == len(view.text) and self._ends_last(expression, view)
        return at_end or self._ends_within(expression, view.text, view.border, len(view.text) - 1)

    def _ends_last(self, expression: CompiledPattern, view: View) -> bool:
        """Whether one ends with the text, for certain."""
        start = max(0, len(view.text) - self.longest_match)
        if expression.last.fullmatch(view.text, start) is None:
            return False
        if view.ended or not expression.looks:
            return True
        return all(expression.before.fullmatch(view.text + next_one, start) for next_one in _FOLLOWING)

    def _ends_within(self, expression: CompiledPattern, text: str, border: int, most: int) -> bool:
        """Whether one ends behind `border` and not behind `most`, where the text goes on."""
        if border >= most:
            return False
        reach = expression.before.match(text[: most + 1], self._first(border))
        if reach is None or reach.end() - 1 <= border:
            return False
        end = reach.end() - 1
        short = expression.before.match(text[: end + 1], max(0, end - self.longest_match))
        if short is not None and short.end() - 1 > border:
            return True
        middle = (border + end) // 2  # some are too long, and may hide others
        return self._ends_within(expression, text, border, middle) or self._ends_within(
            expression, text, middle, end - 1
        )

    def _first(self, border: int) -> int:
        """Where the first match may begin that ends behind the border; what lies before is context only."""
        return max(0, border + 1 - self.longest_match)


def compile_patterns(
    patterns: Sequence[str],
    longest_match: int,
    name: str,
    hazards: tuple[str, ...],
    *,
    names: Sequence[str | None] = (),
    normalise: bool = True,
) -> PatternCost:
    """A cost model from RE2 patterns.

    names  of the patterns, where they have one
    Raises ModelError for one that does not compile or matches the empty text, and for patterns that are too much work.
    """
    where = f"cost_models.{name}"
    if longest_match < 1 or not patterns:
        raise ModelError("a pattern cost needs patterns and a longest_match of at least 1", where=where)
    expressions = _compile_all(patterns, longest_match, where)
    normal = {} if normalise else {"normalise": "none"}
    return PatternCost(
        name=name,
        hazards=hazards,
        sha256=options_sha256(
            "pattern", patterns=list(patterns), longest_match=longest_match, hazards=hazards, **normal
        ),
        expressions=tuple(expressions),
        longest_match=longest_match,
        names=tuple(own or place for place, own in enumerate([*names, *[None] * (len(patterns) - len(names))])),
        normalise=normalise,
        any=_joined(patterns) if len(patterns) > 1 else None,
    )


def _compile_all(patterns: Sequence[str], longest_match: int, where: str) -> list[CompiledPattern]:
    """Every pattern; none is compiled any more once they are too much work."""
    memory = max(_LEAST, min(MEMORY, _SHARED // len(patterns)))
    expressions: list[CompiledPattern] = []
    for pattern in patterns:
        expressions.append(_compile(pattern, where, memory))
        steps = steps_of([expression.last for expression in expressions], longest_match)
        if steps > MOST_STEPS:
            raise ModelError(
                "the patterns are too much work for one scoring",
                where=where,
                why=f"at worst {len(expressions)} of them take {steps:,} steps, and {MOST_STEPS:,} are allowed",
                fix="lower longest_match, shorten counted repetitions ({0,900}) and large classes, or use fewer",
            )
    return expressions


def _compile(pattern: str, where: str, memory: int) -> CompiledPattern:
    import re2

    try:
        if compile_re2(pattern).search("") is not None:
            raise ModelError(f"the pattern {pattern!r} matches the empty text", where=where)
        last, before = reaching(pattern, memory), reaching(pattern, memory, "(?s:.)")
    except re2.error as error:
        raise ModelError(
            f"the pattern {pattern!r} does not compile",
            where=where,
            why=_reason(error),
            fix="RE2 has no look-around and no back-references",
        ) from error
    return CompiledPattern(last, before, _ASSERTS_AN_END.search(_LEADING.sub("", pattern, count=1)) is not None)


def _joined(patterns: Sequence[str]) -> Any:
    """All patterns as one, reaching to the last end of any match; None where RE2 cannot hold them."""
    import re2

    try:
        return reaching("|".join(f"(?:{spellings(pattern)})" for pattern in patterns))
    except re2.error:
        return None


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
