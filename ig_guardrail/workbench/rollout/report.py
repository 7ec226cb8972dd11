"""Reports on a rollout: for people, as a page, and for programs."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.workbench.rollout.figures import CanaryReport, Compared, Frequency, ShadowReport, ShadowRow
from ig_guardrail.workbench.traffic.replay_report import share

SHADOW_LIMITS = (
    "a budget in shadow mode judges what was shown; which drafts a search would have found instead nobody knows",
    "intervals are exact, hold 95% of the time, and take answers as drawn independently of each other",
)
CANARY_LIMITS = (
    "intervals hold 95% of the time and take answers as independent; those of one conversation are not quite",
    "arms are made of names, not of answers: names that ask much weigh much",
)
WIDTH, HEIGHT = 240, 14  # of a bar, pixels
LINE = 110  # characters


def shadow_text(report: ShadowReport) -> str:
    """A block for each budget, hazards, what was not counted, and what the report cannot know."""
    lines = [line for row in report.rows for line in (*_shadow_lines(row), "")]
    if not report.rows:
        lines += ["no budget in shadow mode judged an answer", ""]
    lines += [f"hazard {one.name}: would have denied {share(one.share)}" for one in report.hazards]
    return "\n".join([*lines, *_apart(report.apart), *(f"note: {limit}" for limit in SHADOW_LIMITS)])


def canary_text(report: CanaryReport) -> str:
    """A row for each share, with what the canary changes."""
    lines = [f"{arm}: {_versions(versions)}" for arm, versions in report.policies.items()]
    lines += [""] + [_compared(row) for row in report.rows] if report.rows else ["one arm has no answers yet"]
    return "\n".join([*lines, *_apart(report.apart), *(f"note: {limit}" for limit in CANARY_LIMITS)])


def shadow_json(report: ShadowReport) -> str:
    """Everything, as one object."""
    told = asdict(report)
    for row, written in zip(report.rows, told["rows"], strict=True):
        written["advice"] = row.advice
    return json.dumps({**told, "limits": SHADOW_LIMITS}, ensure_ascii=False)


def canary_json(report: CanaryReport) -> str:
    """Everything, as one object."""
    told = asdict(report)
    for row, written in zip(report.rows, told["rows"], strict=True):
        written["told_apart"] = row.told_apart
    return json.dumps({**told, "limits": CANARY_LIMITS}, ensure_ascii=False)


def shadow_page(report: ShadowReport) -> str:
    """A page of HTML that needs nothing beside it."""
    parts = []
    for row in report.rows:
        rows = [("now", row.now), *(("version", one) for one in row.by_version)]
        rows += [("language", one) for one in row.by_language]
        parts += [f"<h2>{_told(row.budget)} <small>of {_told(row.policy)}</small></h2>", f"<p>{_told(row.advice)}</p>"]
        parts += [_table((kind, one.name, one.share) for kind, one in rows), "<ul>"]
        parts += [f"<li><code>{_told(line)}</code></li>" for line in _examples(row)] + ["</ul>"]
    parts += ["<h2>Hazards</h2>", _table(("hazard", one.name, one.share) for one in report.hazards)]
    return _page("Budgets in shadow mode", parts, (*_apart(report.apart), *SHADOW_LIMITS))


def canary_page(report: CanaryReport) -> str:
    """A page of HTML that needs nothing beside it."""
    parts = [f"<p>{_told(arm)}: {_told(_versions(versions))}</p>" for arm, versions in report.policies.items()]
    for row in report.rows:
        parts += [f"<h2>{_told(row.name)}</h2>", f"<p>{_told(_change(row))}</p>"]
        parts.append(_table((arm, "", one) for arm, one in (("stable", row.stable), ("canary", row.canary))))
    return _page("Canary", parts, (*_apart(report.apart), *CANARY_LIMITS))


def _shadow_lines(row: ShadowRow) -> Iterator[str]:
    yield f"budget {row.budget} ({', '.join(row.hazards)}) of {row.policy} {row.now.name}{_since(row.now)}"
    yield f"  would have denied {share(row.now.share)}"
    yield textwrap.fill(row.advice, LINE, initial_indent="  ", subsequent_indent="  ")
    if len(row.by_version) > 1:
        yield from (f"  version {one.name}: {share(one.share)}{_since(one)}" for one in row.by_version)
    yield from (f"  language {one.name}: {share(one.share)}" for one in row.by_language)
    yield from (f"  example {line}" for line in _examples(row))


def _examples(row: ShadowRow) -> Iterator[str]:
    for one in row.examples:
        text = f", text {one.name[:16]}" if one.name else ""
        yield f"{one.place}{text}: score {one.score:.2f}, denied at token {one.at}"


def _compared(row: Compared) -> str:
    return f"{row.name}: {_change(row)}\n  stable {share(row.stable)}\n  canary {share(row.canary)}"


def _change(row: Compared) -> str:
    one = row.change
    points = f"{one.value * 100:+.1f} points (95% interval {one.low * 100:+.1f} to {one.high * 100:+.1f})"
    if not row.told_apart:
        return f"{points}; so few answers do not tell the arms apart"
    return f"{points}; {'more' if one.value > 0 else 'less'} under the canary"


def _versions(versions: Iterable[Frequency]) -> str:
    return "; ".join(f"{one.name}, {one.count} answers{_since(one)}" for one in versions) or "no answers"


def _since(one: Frequency) -> str:
    """From when to when, to the minute, UTC."""
    first, last = (told[:16].replace("T", " ") for told in (one.since, one.until))
    return f", {first} to {last}" if first else ""


def _apart(apart: Mapping[str, int]) -> list[str]:
    return [f"not counted: {count}, since {reason}" for reason, count in apart.items()]


def _table(rows: Iterable[tuple[str, str, Estimate]]) -> str:
    cells = (
        f"<tr><td>{_told(kind)}</td><td>{_told(name)}</td><td>{_bar(one)}</td><td>{_told(share(one))}</td></tr>"
        for kind, name, one in rows
    )
    return f"<table>{''.join(cells)}</table>"


def _bar(one: Estimate) -> str:
    """A share as a bar, and its interval as a line over it."""
    value, low, high = (round(WIDTH * edge, 1) for edge in (one.value, one.low, one.high))
    middle = HEIGHT / 2
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{one.value:.1%}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#eee"/><rect width="{value}" height="{HEIGHT}" fill="#7ac"/>'
        f'<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}" stroke="#000"/></svg>'
    )


def _page(title: str, parts: Iterable[str], notes: Iterable[str]) -> str:
    style = "body{font:16px sans-serif;max-width:60rem;margin:2rem auto}td{padding:.1rem .6rem}small{color:#666}"
    told = "".join(f"<p><small>{_told(note)}</small></p>" for note in notes)
    head = f'<meta charset="utf-8"><title>{_told(title)}</title><style>{style}</style>'
    return f'<!doctype html><html lang="en">{head}<h1>{_told(title)}</h1>{"".join(parts)}{told}</html>'


def _told(text: str) -> str:
    return html.escape(text)
