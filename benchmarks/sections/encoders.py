"""What heads on a sentence encoder find and stop under packaged policies, and what was tried to better them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

from sections.cells import figure, table
from sections.results import Result, read_result

TEXTS = {  # a head, and the texts that it is measured on, in other languages last
    "toxic-tone": ("DiaSafety", "HateCheck", "t-davidson", "English", "German", "French", "Spanish"),
    "harmful-help": ("JailbreakBench-artifacts", "English", "German", "French", "Spanish"),
}
UNKIND = ("toxic-tone", "JailbreakBench-artifacts")  # a head finds unkind lines, or texts are of what it finds
LEAST = 20  # answers of a kind that a column is worth
TRIED = (
    "JailbreakBench-artifacts, harmful",
    "JailbreakBench-artifacts, safe",
    "sensitive, safe",
    "Alpaca and Dolly, safe",
)


def asked(results: Path) -> str:
    """A line for each policy and way of it, a column for each kind of answers. No line of a policy is told twice."""
    result = read_result(results, "asked")
    kinds = list(dict.fromkeys(row["title"] for row in result["figures"] if row["interval"] and row["n"] >= LEAST))
    ways: dict[tuple[str, str], dict[str, Result]] = {}
    for row in result["figures"]:
        ways.setdefault((row["part"], row["name"]), {})[row["title"]] = row
    lines: dict[tuple[str, ...], str] = {}
    for (part, name), found in ways.items():
        cells = (_limit(found), *(figure(found[kind], ".0%") for kind in kinds))
        lines.setdefault((part, *cells), f"`{part}` {name}")
    origin = f"Measured {result['measured']}; shares with exact 95 % intervals."
    told = ((way, *cells) for (_, *cells), way in lines.items())
    return f"{origin}\n\n{table(('', 'denied above', *kinds), told)}"


def _limit(found: Mapping[str, Result]) -> str:
    """The score from which on help is denied; nothing where that is for several budgets to say."""
    return f"{found['denied above']['value']:.2f}" if "denied above" in found else ""


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


def tongues(results: Path) -> str:
    """A line for each head and its texts: what it finds and takes wrongly on the packaged encoder, and on another."""
    result = read_result(results, "tongues")
    found = {(row["part"], row["name"], row["title"]): row for row in result["figures"]}
    encoders = list(dict.fromkeys(name for part, name, _ in found if part in TEXTS))
    lines = []
    for head, kinds in TEXTS.items():
        for kind in kinds:
            count = " + ".join(str(found[head, encoders[0], f"{kind}, {label}"]["n"]) for label in ("harmful", "safe"))
            cells: list[str] = []
            for name, (title, form) in product(encoders, (("harmful", ".0%"), ("safe", ".0%"), ("AUC", ".2f"))):
                shown = title == "safe" or head in UNKIND or kind in UNKIND
                cells.append(figure(found[head, name, f"{kind}, {title}"], form) if shown else "")
            lines.append((f"`{head}`: {kind} ({count})", *cells))
    columns = [f"{name}: {what}" for name in encoders for what in ("harmful above 0.5", "safe above 0.5", "AUC")]
    spent = (f"{row['name']} {figure(row, '.1f')}" for row in result["figures"] if row["part"] == "time")
    times = f"A charge point with 64 words, in milliseconds of one core (median and quartiles): {', '.join(spent)}."
    return f"{table(('', *columns), lines)}\n\n{times}"


def tried_in_tongues(results: Path) -> str:
    """A line for each way of a head for tone: how well it parts test rows, and lines of each language."""
    rows = [row for row in read_result(results, "tongues")["figures"] if row["part"] == "tried"]
    titles = dict.fromkeys(row["title"] for row in rows if row["title"].endswith(", AUC"))
    found = {(row["name"], row["title"]): row for row in rows}
    names = dict.fromkeys(row["name"] for row in rows)
    lines = [(name, *(figure(found[name, title], ".2f") for title in titles)) for name in names]
    return table(("AUC", *(title.removesuffix(", AUC") for title in titles)), lines)


def _by_part(result: Result) -> dict[str, dict[tuple[str, str], Result]]:
    """Figures by what they are of, and by title and name."""
    found: dict[str, dict[tuple[str, str], Result]] = {}
    for row in result["figures"]:
        found.setdefault(row["part"], {})[row["title"], row["name"]] = row
    return found
