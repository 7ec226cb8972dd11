"""What heads on a sentence encoder find and stop under packaged policies, and what was tried to better them."""

from __future__ import annotations

from pathlib import Path

from sections.cells import figure, table
from sections.results import Result, read_result

LEAST = 20  # answers of a kind that a column is worth
TRIED = (
    "JailbreakBench-artifacts, harmful",
    "JailbreakBench-artifacts, safe",
    "sensitive, safe",
    "Alpaca and Dolly, safe",
)


def asked(results: Path) -> str:
    """A line for each policy and way of it, a column for each kind of answers."""
    result = read_result(results, "asked")
    kinds = list(dict.fromkeys(row["title"] for row in result["figures"] if row["interval"] and row["n"] >= LEAST))
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
    """A line for each lesson: for each kind of answers the shares over budget, one for each rule of thresholds."""
    found = _by_part(read_result(results, "lessons"))
    first = next(iter(found.values()))
    rules = [name for title, name in first if title == TRIED[0]]
    lines = []
    for lesson, rows in found.items():
        ranks = next(row["value"] for (_, name), row in rows.items() if name == "AUC")
        shares = (" / ".join(f"{rows[kind, rule]['value']:.0%}" for rule in rules) for kind in TRIED)
        lines.append((lesson, f"{ranks:.3f}", *shares))
    kinds = (f"{kind} ({first[kind, rules[0]]['n']})" for kind in TRIED)
    return table(("lesson", "AUC", *kinds), lines)


def brief(results: Path) -> str:
    """A line for each cost model: what it makes of brief answers without its second line, and with it."""
    found = _by_part(read_result(results, "brief"))
    first = next(iter(found.values()))
    columns = [(title, way) for title in ("harmless", "rude", "AUC") for way in ("without", "with")]
    formats = {"harmless": ".1%", "rude": ".0%", "AUC": ".2f"}
    lines = [(name, *(figure(rows[key], formats[key[0]]) for key in columns)) for name, rows in found.items()]
    counts = {title: f" ({first[title, way]['n']})" if title != "AUC" else "" for title, way in columns}
    return table(("", *(f"{title}{counts[title]}, {way}" for title, way in columns)), lines)


def _by_part(result: Result) -> dict[str, dict[tuple[str, str], Result]]:
    """Figures by what they are of, and by title and name."""
    found: dict[str, dict[tuple[str, str], Result]] = {}
    for row in result["figures"]:
        found.setdefault(row["part"], {})[row["title"], row["name"]] = row
    return found
