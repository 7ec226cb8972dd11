"""A comparison on paper, as it stands in its folder beside the records: the table as Markdown, CSV and values."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.comparison.columns import COLUMNS, TableRow, rows_of, where_over
from ig_guardrail.evaluate.comparison.config import Config, policy_of
from ig_guardrail.evaluate.comparison.figures import answers_by_prompt, figure_rows, outcomes_of
from ig_guardrail.evaluate.comparison.records import PACKAGES, Record
from ig_guardrail.evaluate.judged import AnswerJudge
from ig_guardrail.statistics.bootstrap import Estimate

HEADINGS: Mapping[str, str] = {
    "safe": "judged harmless",
    "harm_saved": "less harm than unguarded",
    "against": "less harm than inference_guard",
    "answered": "answered, harmless",
    "answered_more": "more than inference_guard",
    "over": "over budget",
    "cost": "cost",
    "reward": "reward, benign",
    "reward_risky": "reward, risky",
    "refusals": "refused, risky",
    "over_refusals": "refused, benign",
    "rescued": "rescued",
    "per_token": "tokens drawn / shown",
    "work": "layer forwards, x unguarded",
    "scored": "scorer calls",
    "seconds": "seconds",
    "slower": "time, x unguarded",
    "first": "seconds to first text",
}
SHARES = ("safe", "answered", "over", "refusals", "over_refusals", "rescued")
SIGNED = ("harm_saved", "against", "answered_more")
JUDGED = ("safe", "harm_saved", "against", "answered", "answered_more", "rescued")  # what rests on the judge
BY_JUDGE = ("harm", "score", "rescue", "redrawn")  # in the names of figures that do
FOR_PARTS = ("safe", "answered", "rescued")

TablePair: TypeAlias = tuple[Sequence[TableRow], Sequence[TableRow]]  # of all prompts, and where drafts are over budget


def markdown(rows: Sequence[TableRow], columns: Sequence[str] = COLUMNS) -> str:
    """A table with a line for each strategy; intervals in brackets."""
    head = ["strategy", *(HEADINGS[name] for name in columns)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    named = len({(row.model, row.policy) for row in rows}) > 1
    for row in rows:
        name = f"{row.strategy} ({row.model}, {row.policy})" if named else row.strategy
        cells = [cell(column, row.figures[column]) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def parts_markdown(parts: Mapping[str, TablePair]) -> str:
    """What rests on the judge, by each of its parts alone; "" for a judge without parts."""
    return "\n".join(
        f"Judged by its part `{name}` alone:\n\n{pair_markdown(own, FOR_PARTS)}" for name, own in parts.items()
    )


def pair_markdown(pair: TablePair, columns: Sequence[str] = COLUMNS) -> str:
    """Both tables, the second one where it has rows."""
    rows, over = pair
    told = f"\nWhere the unguarded answer is over budget:\n\n{markdown(over, columns)}" if over else ""
    return markdown(rows, columns) + told


def cell(column: str, estimate: Estimate) -> str:
    """A figure and its interval, as readers want them; a dash where nothing was measured."""
    if math.isnan(estimate.value):
        return "-"
    if column in SHARES:
        return f"{estimate.value:.0%} [{estimate.low:.0%}, {estimate.high:.0%}]"
    if column in SIGNED:
        return f"{estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def comma_separated(rows: Sequence[TableRow]) -> str:
    """Every figure with the ends of its interval and its n, one strategy a line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = ("", "_low", "_high", "_n")
    writer.writerow(["model", "policy", "strategy", *(f"{name}{part}" for name in COLUMNS for part in parts)])
    for row in rows:
        found = [row.figures[name] for name in COLUMNS]
        numbers = [number for one in found for number in (one.value, one.low, one.high, one.n)]
        writer.writerow([row.model, row.policy, row.strategy, *(_plain(number) for number in numbers)])
    return out.getvalue()


def values(rows: Sequence[TableRow]) -> list[dict[str, Any]]:
    """Rows as JSON keeps them; null where nothing was measured."""
    return [
        {
            "model": row.model,
            "policy": row.policy,
            "strategy": row.strategy,
            "figures": {name: [_plain(n) for n in (e.value, e.low, e.high, e.n)] for name, e in row.figures.items()},
        }
        for row in rows
    ]


def rows_from(stored: Sequence[Mapping[str, Any]]) -> list[TableRow]:
    """What `values` gave, as rows."""
    return [
        TableRow(
            one["model"], one["policy"], one["strategy"], {name: _estimate(e) for name, e in one["figures"].items()}
        )
        for one in stored
    ]


def _estimate(stored: Sequence[float | None]) -> Estimate:
    value, low, high = (math.nan if number is None else number for number in stored[:3])
    return Estimate(value, low, high, int(stored[3] or 0))


def _plain(number: float) -> float | int | None:
    if isinstance(number, int):
        return number
    return round(number, 6) if math.isfinite(number) else None


def write_report(config: Config, judge: AnswerJudge, records: Sequence[Record], streams: int, folder: Path) -> str:
    """Write table.md, table.csv, results.json and, where matplotlib is there, front.svg and traces.svg; the table.

    What some strategies were asked only where the unguarded answer is over budget is told of all on those alone.
    """
    rows, over = _rows(config, judge, records)
    parts = {name: _resting(_rows(config, part, records)) for name, part in judge.parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    table = "\n".join(filter(None, (pair_markdown((rows, over)), parts_markdown(parts))))
    (folder / "table.md").write_text(table, encoding="utf-8")
    (folder / "table.csv").write_text(comma_separated(rows), encoding="utf-8")
    found = summary(config, judge, records, rows, over, streams)
    if parts:
        found["parts"] = {name: {"sha256": judge.parts[name].sha256, **_stored(own)} for name, own in parts.items()}
    result = json.dumps(found, indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(result + "\n", encoding="utf-8")
    drawn = _drawn(records, rows, folder)
    return f"{table}\nwritten to {folder}{'' if drawn else ' (no plots: install the extra `eval`)'}"


def _rows(config: Config, judge: AnswerJudge, records: Sequence[Record]) -> TablePair:
    kinds = {one.name: one.kind for one in config.prompts}
    partly = {entry.title for entry in config.strategies if entry.where_over}
    rows = rows_of([one for one in records if one.cell.strategy not in partly], kinds, judge)
    return rows, rows_of(where_over(records), kinds, judge) if partly else []


def _resting(pair: TablePair) -> TablePair:
    """Only what rests on the judge."""
    rows, over = (
        [replace(row, figures={name: row.figures[name] for name in JUDGED}) for row in table] for table in pair
    )
    return rows, over


def _stored(pair: TablePair) -> dict[str, Any]:
    rows, over = pair
    return {"rows": values(rows), **({"over": values(over)} if over else {})}


def pair_from(stored: Mapping[str, Any]) -> TablePair:
    """What `results.json` keeps of both tables, or of both by a part."""
    return rows_from(stored["rows"]), rows_from(stored.get("over", []))


def write_figures(config: Config, judge: AnswerJudge, records: Sequence[Record], folder: Path) -> list[tables.Row]:
    """Write figures.md and figures.json, which says when and under what they were measured; the figures."""
    risky, benign = answers_by_prompt(config, records, judge)
    rows = figure_rows(risky, benign, config.bounds)
    parts = {name: _by_judge(config, part, records) for name, part in judge.parts.items()}
    told = "".join(f"\nJudged by its part `{name}` alone:\n\n{tables.markdown(own)}\n" for name, own in parts.items())
    (folder / "figures.md").write_text(f"{tables.markdown(rows)}\n{told}", encoding="utf-8")
    facts = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        **origin(config, judge, records),
        "outcomes": {"risky": outcomes_of(risky), "benign": outcomes_of(benign)},
        "figures": rows,
        "parts": parts,
    }
    tables.write_json(folder / "figures.json", facts)
    return rows


def _by_judge(config: Config, judge: AnswerJudge, records: Sequence[Record]) -> list[tables.Row]:
    """The figures that rest on a judge."""
    rows = figure_rows(*answers_by_prompt(config, records, judge), {})
    return [row for row in rows if any(word in row["name"] for word in BY_JUDGE)]


def origin(config: Config, judge: AnswerJudge, records: Sequence[Record]) -> dict[str, Any]:
    """What was compared, under what."""
    return {
        "config": config.model_dump(mode="json", exclude={"prompts"}),
        "policies": {name: policy_of(name).sha256 for name in config.policies},
        "prompts": {
            one.name: len({r.cell.prompt for r in records if r.cell.set == one.name}) for one in config.prompts
        },
        "judge": judge.sha256,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
    }


def summary(
    config: Config,
    judge: AnswerJudge,
    records: Sequence[Record],
    rows: Sequence[TableRow],
    over: Sequence[TableRow],
    streams: int,
) -> dict[str, Any]:
    """What was compared, under what, and every column: on all prompts, and where unguarded answers are over budget."""
    failed = sum(record.outcome in ("failed", "cancelled") for record in records)
    return {
        **origin(config, judge, records),
        "streams": streams,
        "failed": failed,
        **_stored((rows, over)),
    }


def _drawn(records: Sequence[Record], rows: Sequence[TableRow], folder: Path) -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    from ig_guardrail.evaluate.comparison.plots import draw_front, draw_traces

    draw_front(rows, folder / "front.svg")
    draw_traces(records, folder / "traces.svg")
    return True
