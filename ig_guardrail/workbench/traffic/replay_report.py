"""A replay's report: for people, for programs, and for a build server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from xml.etree import ElementTree

from ig_guardrail.policy.diagnostics.render import printable_lines
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.workbench.traffic.replay import DraftVerdict, JudgedDraft, ReplayReport, ShareRow

SHOWN = 20  # flips that are listed for people
LONGEST = 60  # characters of a text that are told, where recordings keep it
LIMITS = (
    "a replay judges the drafts that were recorded; what a search would have said in their place it cannot know",
    "answers are taken one by one, and intervals as if they were drawn independently; they hold 95% of the time",
)


def as_text(report: ReplayReport) -> str:
    """Tables, flips, what was not judged, and what a replay cannot know."""
    return "\n".join(_lines(report))


def as_json(report: ReplayReport) -> str:
    """Everything, as one object."""
    return json.dumps({**asdict(report), "judged": report.judged, "limits": LIMITS}, ensure_ascii=False)


def as_junit(report: ReplayReport, most_flips: int | None) -> str:
    """A test case for the number of flips, which fails where there are too many, and lists them."""
    message = f"{len(report.flips)} flips, {most_flips} allowed" if report.judged else "nothing could be judged"
    failure = message if fails(report, most_flips) else None
    flips = [_flip(one) for one in report.flips]
    return junit_suite(report.policy, _against(report), failure, flips, as_text(report))


def junit_suite(policy: str, against: str, failure: str | None, flips: Iterable[str], text: str) -> str:
    """A test case for the number of flips. failure: why it fails; text: the whole report."""
    failures = str(int(failure is not None))
    suite = ElementTree.Element("testsuite", name=f"policy replay {policy}", tests="1", failures=failures)
    case = ElementTree.SubElement(suite, "testcase", classname="replay", name=f"flips against {against}")
    if failure is not None:
        ElementTree.SubElement(case, "failure", message=failure).text = printable_lines("\n".join(flips))
    ElementTree.SubElement(case, "system-out").text = printable_lines(text)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def fails(report: ReplayReport, most_flips: int | None) -> bool:
    """Whether there are more flips than allowed, if a number is named, or nothing could be judged."""
    return not report.judged or (most_flips is not None and len(report.flips) > most_flips)


def share(one: Estimate) -> str:
    """A share with its exact interval."""
    if not one.n:
        return "of none"
    return f"{round(one.value * one.n)} of {one.n} ({one.value:.1%}, 95% interval {one.low:.1%} to {one.high:.1%})"


def _lines(report: ReplayReport) -> Iterator[str]:
    yield f"policy {report.policy} against {_against(report)}"
    if report.denied is None:
        yield "  no recording could be judged"
    else:
        yield f"  denied {share(report.denied)}"
        to_denied = sum(one.to_denied for one in report.flips)
        yield f"  flips  {len(report.flips)}: {to_denied} newly denied, {len(report.flips) - to_denied} newly passed"
        for title, rows in (
            ("budget", report.by_budget),
            ("hazard", report.by_hazard),
            ("language", report.by_language),
        ):
            yield from _table(title, rows)
    yield from (f"    {_flip(one)}" for one in report.flips[:SHOWN])
    if len(report.flips) > SHOWN:
        yield f"    and {len(report.flips) - SHOWN} more; `--format json` lists all"
    for reason, count in sorted(report.apart.items(), key=lambda one: -one[1]):
        yield f"  not judged: {count}, since {reason}"
    for name, drafts in report.drafts.items():
        yield (
            f"  drafts that '{name}' denied when recorded: {drafts.count}, highest score {drafts.highest:.2f},"
            f" by tenths of the score {' '.join(map(str, drafts.tenths))}"
        )
    for row in (one for one in report.served if one.searched.value or one.refused.value):
        rescued = "" if row.rescued is None else f", of these completed {share(row.rescued)}"
        refused = f"refused or ended {share(row.refused)}"
        yield f"  as recorded, {row.name}: searched for {share(row.searched)}{rescued}; {refused}"
    yield from (f"  not tried: budget '{name}', which answers share" for name in report.left_out)
    yield from (f"note: {limit}" for limit in LIMITS)


def _table(title: str, rows: Sequence[ShareRow]) -> Iterator[str]:
    for row in rows:
        yield f"  {title:8} {row.name:20} over {share(row.over)}, flips +{row.to_denied} -{row.to_passed}"


def _flip(one: JudgedDraft) -> str:
    text = "" if one.text is None else f": {' '.join(one.text.split())}"
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return f"{one.place}: {_said(one.before)} -> {_said(one.after)}{text}"


def _said(verdict: DraftVerdict) -> str:
    return "passed" if verdict.by is None else f"denied by {verdict.by} at {verdict.at}"


def _against(report: ReplayReport) -> str:
    return report.against or "what was recorded"
