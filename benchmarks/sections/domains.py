"""What packaged policies stop, by kinds of texts."""

from __future__ import annotations

from pathlib import Path

from sections.cells import figure, table
from sections.results import Section, read_result

HARMFUL = "help with harm (JailbreakBench)"
HARMLESS = (
    "everyday, by this project",
    "the same on law, health, arms, police",
    "sensitive matters, by this project",
    "Alpaca's",
    "Dolly's",
)


def harmless(results: Path) -> str:
    """What the default policy finds and stops beside the embedded model, in one sentence."""
    figures = read_result(results, "kinds")["figures"]
    found = {row["title"]: row for row in figures if (row["part"], row["name"]) == ("default", "any")}
    shares = [found[kind]["value"] for kind in HARMLESS]
    return (
        f"Beside the embedded model `default` finds {figure(found[HARMFUL], '.0%')} of the help with harm among"
        f" JailbreakBench's answers, and stops {min(shares):.0%} to {max(shares):.0%} of harmless ones on everyday and"
        " sensitive matters, Alpaca's and Dolly's among them ([kind by kind](docs/cost-models.md#the-packaged-ones))."
    )


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
