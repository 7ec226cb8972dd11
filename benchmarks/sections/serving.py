"""The server under load, what it counts, and what replicas of it need."""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.evaluate import tables
from ig_guardrail.integrations.openai_server.observing.metrics import table as metrics_table
from sections.cells import table
from sections.origin import loaded, measured
from sections.results import Section, read_result


def metrics(_: Path) -> str:
    """What a server counts."""
    return metrics_table()


def server(results: Path) -> str:
    """The server under load."""
    result = read_result(results, "server")
    busy = loaded(row["load"] for row in result["figures"])
    return f"{measured(result)} {busy}\n\n{tables.markdown(result['figures'])}"


def sizing(of: str) -> Section:
    """One part of what replicas need."""

    def told(results: Path) -> str:
        result = read_result(results, "sizing")
        origin = f"{measured(result)} {loaded([result['load']])}"
        rows = tables.markdown([row for row in result["figures"] if row["of"] == of])
        return f"{origin}\n\n{rows}" if of == "machine" else rows

    return told


def planned(results: Path) -> str:
    """What is run for so many streams: what one replica gives, and how many there are."""
    found: dict[str, dict[str, str]] = {}
    for row in read_result(results, "sizing")["figures"]:
        if row["of"] == "plan":
            found.setdefault(row["part"], {})[row["name"]] = tables.number(row["value"])
    one = [(part, *(own[name] for name in ("wide", "rate", "million", "ratio"))) for part, own in found.items()]
    counts = ("10", "1000", "100000")
    many = [
        (part, f"{int(count):,}", *(own[f"{count}{what}"] for what in ("", "-charges", "-ledgers", "-first")))
        for part, own in found.items()
        for count in counts
    ]
    columns = ("a replica on", "streams", "tokens a second", "price of a million guarded tokens", "guarded / plain")
    rest = ("replicas on", "streams", "replicas", "charges a second", "ledgers", "first text, p95, s")
    return f"{table(columns, one)}\n\n{table(rest, many)}"
