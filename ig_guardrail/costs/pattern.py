"""Patterns that must not appear: linear-time regular expressions with a declared longest match.

The event is a match that ends in the newest piece, wherever it began; text that was read before is looked back over by
as much as a match can span. A match longer than declared does not count. Assertions at the very end of the text so far
(`$`, `\\b`) are judged as if the answer ended there. Classes such as `\\w` and `\\b` are ASCII, as RE2 defines them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.costs.artifact import options_sha256
from ig_guardrail.errors import CostFailure, ModelError
from ig_guardrail.types import Granularity, Piece, Prompt, Reading


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled pattern: `whole` finds matches, `last` reaches to the furthest end of any of them in one pass."""

    whole: Any
    last: Any


@dataclass(frozen=True, slots=True, eq=False)
class PatternCost:
    """1.0 where one of the patterns matches up to a character of the newest piece, else 0.0.

    Charged at block points. The gate holds back `longest_match` characters, so a match is found before it can be shown.
    """

    name: str
    hazards: tuple[str, ...]
    sha256: str
    expressions: tuple[Expression, ...]
    longest_match: int
    granularity: Granularity = "block"
    reading: Reading = "event"
    layers: tuple[int, ...] = ()

    def start(self, prompt: Prompt) -> str:
        """The state is the last `longest_match` characters: where a match may begin, and one of context."""
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        """Search each piece with what went before it. Raises CostFailure for text that is not Unicode."""
        return [self._advance(behind, piece.text) for behind, piece in steps]

    def _advance(self, behind: str, text: str) -> tuple[str, tuple[float, ...]]:
        known = behind + text
        try:
            found = any(self._ends_after(expression, known, len(behind)) for expression in self.expressions)
        except UnicodeError as error:
            raise CostFailure("the text is not Unicode", where=f"cost_models.{self.name}", why=str(error)) from error
        return known[-self.longest_match :], (float(found),) * len(self.hazards)

    def _ends_after(self, expression: Expression, text: str, border: int) -> bool:
        """Whether a match of at most `longest_match` characters ends behind `border`."""
        # `text` may be cut at the left: what lies before the first possible beginning is context only.
        first = max(0, border - self.longest_match + 1)
        reach = expression.last.match(text, first)
        if reach is None or reach.end() <= border:
            return False
        found = expression.whole.search(text, first)
        while found is not None:
            start = found.start()
            if found.end() - start > self.longest_match:
                found = expression.whole.match(text, start, start + self.longest_match)
            if found is not None and found.end() > border:
                return True
            found = expression.whole.search(text, start + 1)
        return False


def compile_patterns(patterns: Sequence[str], longest_match: int, name: str, hazards: tuple[str, ...]) -> PatternCost:
    """A cost model from RE2 patterns. Raises ModelError for one that does not compile or matches the empty text."""
    if longest_match < 1 or not patterns:
        raise ModelError("a pattern cost needs patterns and a longest_match of at least 1", where=f"cost_models.{name}")
    return PatternCost(
        name=name,
        hazards=hazards,
        sha256=options_sha256("pattern", patterns=list(patterns), longest_match=longest_match, hazards=hazards),
        expressions=tuple(_compile(pattern, name) for pattern in patterns),
        longest_match=longest_match,
    )


def _compile(pattern: str, name: str) -> Expression:
    import re2

    options = re2.Options()
    options.longest_match = True
    options.log_errors = False
    try:
        compiled = Expression(re2.compile(pattern, options), re2.compile(f"(?s:.*)(?:{pattern})", options))
    except re2.error as error:
        raise ModelError(
            f"the pattern {pattern!r} does not compile",
            where=f"cost_models.{name}",
            why=_reason(error),
            fix="RE2 has no look-around and no back-references",
        ) from error
    if compiled.whole.search("") is not None:
        raise ModelError(f"the pattern {pattern!r} matches the empty text", where=f"cost_models.{name}")
    return compiled


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
