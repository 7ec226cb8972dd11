"""What guarding does to answers, and everything that has a bound."""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.evaluate import tables
from sections.cells import figure, table
from sections.origin import asked, machine, named
from sections.results import read_result


def quality(results: Path) -> str:
    """Every figure of the last run of the quality measurement, with what it was measured on."""
    result = read_result(results, "quality")
    origin = f"Measured {result['measured']}: {asked(result)}. {named(result)}. {machine(result)}."
    lines = [
        (f"{row['part']}: {row['title']}", part, figure(row, "+.2f"), row["n"])
        for part, rows in result["parts"].items()
        for row in rows
        if row["name"].endswith("harm_change")
    ]
    by_part = table(("by a part of the judge alone", "part", "value (95 % interval)", "n"), lines)
    return f"{origin}\n\n{tables.markdown(result['figures'])}\n\n{by_part}"


def bounded(results: Path) -> str:
    """What has a bound, of quality and of speed."""
    measured = [read_result(results, name)["figures"] for name in ("quality", "bench", "prompts", "server")]
    rows = [row for figures in measured for row in figures if row["bound"]]
    lines = [f"| {row['part']}: {row['title']} | {tables.cells(row)} |" for row in rows]
    return "\n".join(("| what | value | interval | n | bound | |", "|---|---:|---:|---:|---:|---|", *lines))
