"""What guarding costs in time and memory, engine by engine."""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.evaluate import tables
from sections.cells import table
from sections.origin import loaded, measured
from sections.results import read_result

ELSEWHERE = ("weights", "steps", "profile", "start", "llama.cpp")  # parts of `make bench` that other pages show


def bench(results: Path) -> str:
    """Speed, with what it was measured on."""
    result = read_result(results, "bench")
    rows = [row for row in result["figures"] if row["of"] not in ELSEWHERE]
    return f"{measured(result)}\n\n{tables.markdown(rows)}"


def profile(results: Path) -> str:
    """Where the time of a shown token goes: a line for each kind of decoding, a column for each part."""
    result = read_result(results, "bench")
    lines: dict[str, dict[str, float]] = {}
    for row in result["figures"]:
        if row["of"] == "profile":
            lines.setdefault(row["part"], {})[row["title"]] = row["value"]
    parts = list(next(iter(lines.values())))
    cells = [(kind, *(f"{ms:.1f}" for ms in (*own.values(), sum(own.values())))) for kind, own in lines.items()]
    return f"{measured(result)}\n\n{table(('decoding', *parts, 'all'), cells)}"


def weights(results: Path) -> str:
    """What fewer bits do."""
    return tables.markdown([row for row in read_result(results, "bench")["figures"] if row["of"] == "weights"])


def steps(results: Path) -> str:
    """What compiling saves in a step of few rows."""
    result = read_result(results, "steps")
    return f"{measured(result)}\n\n{tables.markdown(result['figures'])}"


def prompts(results: Path) -> str:
    """What the length of a prompt costs, and what is read once."""
    result = read_result(results, "prompts")
    return f"{measured(result)}\n\n{tables.markdown(result['figures'])}"


def starts(results: Path) -> str:
    """How long a start takes, and the first use of a GGUF file."""
    result = read_result(results, "start")
    return f"{measured(result)}\n\n{tables.markdown(result['figures'])}"


def llama(results: Path) -> str:
    """What our engine over llama.cpp costs beside a plain loop of it."""
    result = read_result(results, "llama")
    return f"{measured(result)}\n\n{tables.markdown(result['figures'])}"


def on_vllm(results: Path) -> str:
    """Guarded streams beside plain ones on vLLM."""
    result = read_result(results, "vllm")
    busy = loaded(float(row["load"]) for row in result["figures"])
    return f"{measured(result)} {busy}\n\n{tables.markdown(result['figures'])}"


def processors(results: Path) -> str:
    """What has a bound, on the processor of the other tables and on one with AMX."""
    here = [row for name in ("bench", "prompts") for row in read_result(results, name)["figures"] if row["bound"]]
    there = {row["name"]: row for row in read_result(results, "bench-amx")["figures"]}
    both = [row for row in here if row["name"] in there]
    lines = [(f"{row['part']}: {row['title']}", row["bound"], _told(row), _told(there[row["name"]])) for row in both]
    return table(("", "bound", "without AMX", "with AMX"), lines)


def _told(row: tables.Row) -> str:
    value = f"{tables.number(row['value'])} ({tables.span(row)})"
    return value if tables.verdict(row) == "ok" else f"{value}, missed"
