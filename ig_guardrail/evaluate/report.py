"""Everything a comparison leaves in its folder beside the records."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ig_guardrail.evaluate.cells import Record
from ig_guardrail.evaluate.columns import Row
from ig_guardrail.evaluate.config import Config
from ig_guardrail.evaluate.judging import Judge
from ig_guardrail.evaluate.setting import PACKAGES
from ig_guardrail.evaluate.writing import comma_separated, markdown, values


def write_report(
    config: Config, judge: Judge, records: Sequence[Record], rows: Sequence[Row], streams: int, folder: Path
) -> str:
    """Write table.md, table.csv, results.json and, where matplotlib is there, front.svg and traces.svg; the table."""
    folder.mkdir(parents=True, exist_ok=True)
    table = markdown(rows)
    (folder / "table.md").write_text(table, encoding="utf-8")
    (folder / "table.csv").write_text(comma_separated(rows), encoding="utf-8")
    result = json.dumps(summary(config, judge, records, rows, streams), indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(result + "\n", encoding="utf-8")
    drawn = _drawn(records, rows, folder)
    return f"{table}\nwritten to {folder}{'' if drawn else ' (no plots: install the extra `plot`)'}"


def summary(
    config: Config, judge: Judge, records: Sequence[Record], rows: Sequence[Row], streams: int
) -> dict[str, Any]:
    """What was compared, under what, and every figure."""
    failed = sum(record.outcome in ("failed", "cancelled") for record in records)
    return {
        "config": config.model_dump(mode="json", exclude={"prompts"}),
        "prompts": {
            one.name: len({r.cell.prompt for r in records if r.cell.set == one.name}) for one in config.prompts
        },
        "judge": judge.sha256,
        "streams": streams,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
        "failed": failed,
        "rows": values(rows),
    }


def _drawn(records: Sequence[Record], rows: Sequence[Row], folder: Path) -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    from ig_guardrail.evaluate.plots import draw_front, draw_traces

    draw_front(rows, folder / "front.svg")
    draw_traces(records, folder / "traces.svg")
    return True
