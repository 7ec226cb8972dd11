"""What packaged policies stop, by kinds of texts."""

from __future__ import annotations

from pathlib import Path

from sections.cells import figure, table
from sections.results import Section, read_result


def stopped(name: str) -> Section:
    """The section of a result: a line for each kind of text, a column for each policy."""

    def section(results: Path) -> str:
        result = read_result(results, name)
        whole = [row for row in result["figures"] if row["name"] == "any"]
        policies = list(dict.fromkeys(row["part"] for row in whole))
        lines = []
        for kind in dict.fromkeys(row["title"] for row in whole):
            found = {row["part"]: row for row in whole if row["title"] == kind}
            counts = "/".join(map(str, dict.fromkeys(row["n"] for row in found.values())))
            lines.append((kind, counts, *(figure(found[policy], ".0%") for policy in policies)))
        origin = f"Measured {result['measured']} beside the {result['model']} model; shares with exact 95 % intervals."
        return f"{origin}\n\n{table(('texts', 'n', *policies), lines)}"

    return section
