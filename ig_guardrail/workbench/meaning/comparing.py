"""Compares budgets by what they deny: an example that was run, a proof, or the word that it is not decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ig_guardrail.costs.kinds.base import Declaration
from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.meaning.budgets import BudgetLine
from ig_guardrail.workbench.meaning.examples import Example, found
from ig_guardrail.workbench.meaning.linear import TooManyParts
from ig_guardrail.workbench.meaning.proofs import implied
from ig_guardrail.workbench.meaning.sources import Books, Source, open_books

MeaningVerdict: TypeAlias = Literal["same", "stricter", "looser", "incomparable", "not comparable", "not decided"]

ASSUMED = tuple(
    Declaration(granularity, reading) for granularity in ("block", "token", "final") for reading in ("level", "event")
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What B denies of what A shows, and the other way round.

    stricter, looser  an example of either, where there is one
    why               what is not decided or cannot be compared, and why
    patterns          sources in the examples that match, and do not score
    """

    verdict: MeaningVerdict
    stricter: Example | None = None
    looser: Example | None = None
    why: str = ""
    patterns: frozenset[str] = frozenset()


def compare(a: CompiledPolicy, b: CompiledPolicy, hazard: str | None = None) -> Comparison:
    """Budgets that limit a hazard, in answers that score on no other; all of them together if None."""
    first = _compared(open_books((a, b), hazard, ASSUMED[0]))
    if not _says_for_itself(a, b):
        return first
    for assumed in ASSUMED[1:]:
        other = _compared(open_books((a, b), hazard, assumed))
        if other.verdict != first.verdict:
            why = (
                "what a cost model of kind `python` or `provided` declares of its scores decides, and is not known here"
            )
            return Comparison("not decided", why=why)
    return first


def _says_for_itself(*policies: CompiledPolicy) -> bool:
    return any(spec.kind in ("python", "provided") for policy in policies for spec in policy.cost_models)


def _compared(books: Books) -> Comparison:
    a, b = books.sides
    strange, patterns = _strange(books), frozenset(one.name for one in books.sources if one.whole)
    stricter, looser = _denied_by(b, a, books), _denied_by(a, b, books)
    reasons = [one for one in (stricter, looser) if isinstance(one, str)]
    more, fewer = (one if isinstance(one, Example) else None for one in (stricter, looser))
    if strange and (reasons or (more and fewer)):
        return Comparison("not comparable", why=strange)
    if reasons:
        return Comparison("not decided", more, fewer, "; ".join(dict.fromkeys(reasons)), patterns)
    return Comparison(_verdict(bool(more), bool(fewer)), more, fewer, patterns=patterns)


def _verdict(stricter: bool, looser: bool) -> MeaningVerdict:
    if stricter and looser:
        return "incomparable"
    return "stricter" if stricter else "looser" if looser else "same"


def _denied_by(lines: Sequence[BudgetLine], others: Sequence[BudgetLine], books: Books) -> Example | str | None:
    """An answer that `others` show and `lines` deny; None where it is proved that there is none; else why not known."""
    whole = {source.name for source in books.sources if source.whole}
    events = {source.name for source in books.sources if source.event}
    pieces = {one.step for one in (*lines, *others) if one.events}
    silent = events if len(pieces) > 1 else set()  # what a piece scores says nothing of longer or shorter ones
    unknown: list[str] = []
    for line in lines:
        reason = "neither a proof nor an example was found"
        try:
            if implied(line, others, whole):
                continue
        except TooManyParts as error:
            reason = str(error)
        example = found(line, others, lines, whole, silent)
        if example is not None:
            return example
        note = "; `every` differs, and pieces of other lengths score otherwise" if silent else ""
        unknown.append(f"whether budget '{line.id}' denies more than {_names(others)} ({reason}{note})")
    return "; ".join(unknown) or None


def _names(lines: Sequence[BudgetLine]) -> str:
    return ", ".join(f"'{one.id}'" for one in lines) or "nothing"


def _strange(books: Books) -> str:
    """Which cost models only one side reads, where each side has some."""
    a, b = (
        [one.name for one in books.sources if one.sides == {side} and not _read_by(books, one, 1 - side)]
        for side in (0, 1)
    )
    return f"A reads {_and(a)}, B reads {_and(b)}; their scores are not comparable" if a and b else ""


def _read_by(books: Books, source: Source, side: int) -> bool:
    """Whether a side reads the same cost model, of other hazards; each pattern is one by itself."""
    return any(one.identity == source.identity and side in one.sides and not one.whole for one in books.sources)


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
