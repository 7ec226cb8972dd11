"""The report of traffic that was answered again: for people, for programs, and for a build server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from ig_guardrail.workbench.rollout.live import FAILED, LiveFlip, LiveReport, LiveRow
from ig_guardrail.workbench.traffic.replay import ServedRow
from ig_guardrail.workbench.traffic.replay_report import SHOWN, junit_suite, share

LIMITS = (
    "seed, sampling and weights are those of the recording; another device may still round otherwise, and so say "
    "something else where nothing was denied",
    "answers are taken one by one, and intervals as if they were drawn independently; they hold 95% of the time",
)


def as_text(report: LiveReport) -> str:
    """Flips, then and now by hazard and language, what was not compared, and what is not known."""
    return "\n".join(_lines(report))


def as_json(report: LiveReport) -> str:
    """Everything, as one object."""
    return json.dumps({**asdict(report), "limits": LIMITS}, ensure_ascii=False)


def as_junit(report: LiveReport, most_flips: int | None) -> str:
    """A test case for the number of flips, which fails where there are too many, and lists them."""
    allowed = "any" if most_flips is None else most_flips
    failed = report.apart.get(FAILED, 0)
    message = f"{len(report.flips)} flips, {allowed} allowed; {failed} answers failed"
    message = message if report.flipped else "nothing could be compared"
    failure = message if fails(report, most_flips) else None
    return junit_suite(report.policy, _against(report), failure, map(_flip, report.flips), as_text(report))


def fails(report: LiveReport, most_flips: int | None) -> bool:
    """Whether there are more flips than allowed, if a number is named, nothing could be compared, or some failed."""
    return (
        report.flipped is None or FAILED in report.apart or (most_flips is not None and len(report.flips) > most_flips)
    )


def _lines(report: LiveReport) -> Iterator[str]:
    yield f"policy {report.policy}, answered again, against {_against(report)}"
    if report.flipped is None:
        yield "  no recorded answer could be compared"
    else:
        yield f"  word for word as recorded {report.same} of {report.flipped.n}"
        yield f"  flips {share(report.flipped)}"
        kinds = Counter(f"{one.before} -> {one.after}" for one in report.flips)
        yield from (f"    {count} {kind}" for kind, count in kinds.most_common())
    for row in report.rows:
        yield from _row(row)
    yield from (f"    {_flip(one)}" for one in report.flips[:SHOWN])
    if len(report.flips) > SHOWN:
        yield f"    and {len(report.flips) - SHOWN} more; `--format json` lists all"
    for reason, count in sorted(report.apart.items(), key=lambda one: -one[1]):
        yield f"  not compared: {count}, since {reason}"
    if report.unasked:
        yield f"  prompts without a recorded answer: {report.unasked}"
    yield from (f"  charged for each answer alone: budget '{name}', which answers share" for name in report.alone)
    yield from (f"note: {limit}" for limit in LIMITS)


def _row(row: LiveRow) -> Iterator[str]:
    yield f"  {row.before.name}: flips {row.flips}, drafts denied {row.drafts_before} -> {row.drafts_after}"
    yield f"    then {_served(row.before)}"
    yield f"    now  {_served(row.after)}"


def _served(row: ServedRow) -> str:
    rescued = "" if row.rescued is None else f", of these completed {share(row.rescued)}"
    return f"searched for {share(row.searched)}{rescued}; refused or ended {share(row.refused)}"


def _flip(one: LiveFlip) -> str:
    by = f", by {', '.join(one.by)}" if one.by else ""
    return f"{one.place}: {one.before} -> {one.after}{by}"


def _against(report: LiveReport) -> str:
    return f"what was recorded under {', '.join(report.against)}" if report.against else "what was recorded"
