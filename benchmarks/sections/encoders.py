"""What heads on a sentence encoder find and stop under packaged policies, and what was tried to better them."""

from __future__ import annotations

from pathlib import Path

from sections.cells import figure, table
from sections.results import Result, read_result

TRIED = (
    "JailbreakBench-artifacts, harmful",
    "JailbreakBench-artifacts, safe",
    "sensitive, safe",
    "Alpaca and Dolly, safe",
)


def asked(results: Path) -> str:
    """A line for each policy and way of it, a column for each kind of answers."""
    result = read_result(results, "asked")
    kinds = list(dict.fromkeys(row["title"] for row in result["figures"] if row["interval"]))
    ways: dict[tuple[str, str], dict[str, Result]] = {}
    for row in result["figures"]:
        ways.setdefault((row["part"], row["name"]), {})[row["title"]] = row
    lines = [
        (f"`{part}` {name}", f"{found['denied above']['value']:.2f}", *(figure(found[kind], ".0%") for kind in kinds))
        for (part, name), found in ways.items()
    ]
    origin = f"Measured {result['measured']}; shares with exact 95 % intervals."
    return f"{origin}\n\n{table(('', 'denied above', *kinds), lines)}"


def lessons(results: Path) -> str:
    """A line for each lesson: what is over budget by the rule of packaged policies, and by the other."""
    result = read_result(results, "lessons")
    found: dict[str, dict[tuple[str, str], Result]] = {}
    for row in result["figures"]:
        found.setdefault(row["part"], {})[row["name"], row["title"]] = row
    lines = []
    for lesson, rows in found.items():
        ranks = next(row for (name, _), row in rows.items() if name == "AUC")
        for rule in dict.fromkeys(name for name, title in rows if title == TRIED[0]):
            shares = (figure(rows[rule, kind], ".0%") for kind in TRIED)
            lines.append((lesson, f"few {rule}", f"{ranks['value']:.3f}", *shares))
    counts = [f"{kind} ({found[next(iter(found))]['costs', kind]['n']})" for kind in TRIED]
    return table(("lesson", "threshold", "AUC", *counts), lines)
