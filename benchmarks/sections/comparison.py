"""Strategies beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ig_guardrail.evaluate.comparison.columns import TableRow
from ig_guardrail.evaluate.comparison.report import markdown, pair_from, parts_markdown, rows_from
from sections.origin import asked, machine, named
from sections.results import Result, Section, read_result

SHORT = ("answered", "refusals", "over_refusals", "reward", "work", "slower")
CHOSEN_BY = ("safe", "answered", "answered_more", "refusals", "rescued", "reward_risky", "work", "seconds")
RIVALS = ("none", "cut", "rollback_retry", "inference_guard")


def compared(name: str, columns: Sequence[str] = SHORT) -> Section:
    """What the answers of a comparison were and took, strategy by strategy, and what it was measured on."""

    def section(results: Path) -> str:
        result = read_result(results, name)
        told = f"{result['failed']} failed. {result['streams']} answers at a time in each process."
        origin = f"{asked(result)}. {named(result)}; {told} {machine(result)}."
        parts = {part: pair_from(found) for part, found in result.get("parts", {}).items()}
        tables = (markdown(rows_from(result["rows"]), columns), parts_markdown(parts))
        return "\n\n".join((origin, *(table.rstrip() for table in tables if table)))

    return section


def against_rollback(results: Path) -> str:
    """In one paragraph, where rolling back is as good as the search and where it is not, in figures."""
    equal, hard = (_rivals(read_result(results, name)) for name in ("equal", "hard"))
    search, rollback = equal["inference_guard"].figures, equal["rollback_retry"].figures
    slower, under_strict = (
        rows["rollback_retry"].figures["slower"].value / rows["inference_guard"].figures["slower"].value
        for rows in (equal, hard)
    )
    more = rollback["answered_more"]
    return (
        f"Where little is at risk, `rollback_retry` is as good: it answers {rollback['answered'].value:.0%} of the"
        f" risky prompts harmlessly, and the search answers {search['answered'].value:.0%} (difference"
        f" {more.value:+.2f}, 95 % interval {more.low:+.2f} to {more.high:+.2f}). For this the model reads"
        f" {rollback['work'].value:.1f} times as many tokens as for the unguarded stream, and for the search"
        f" {search['work'].value:.1f} times as many. But `rollback_retry` takes {slower:.1f} times as long as the"
        f" search, and {under_strict:.1f} times as long under the policy `strict`, where few continuations pass; and"
        f" it cannot raise a reward."
    )


def _rivals(result: Result) -> Mapping[str, TableRow]:
    """The rows of RIVALS, in that order, whatever their settings; rows with a reward or a changed search are others."""
    plain = {row.strategy.partition(" (")[0]: row for row in rows_from(result["rows"])}
    return {name: plain[name] for name in RIVALS}
