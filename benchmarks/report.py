"""Writes the tables of benchmarks/results/ into the documents, between markers; no figure is typed by hand.

    python benchmarks/report.py                     fill the documents
    python benchmarks/report.py --check             exit 1 if a document is not current
    python benchmarks/report.py --take              copy benchmarks/out/*.json to benchmarks/results/ first

Wide tables of comparisons are written whole to docs/results/*.csv; the documents show the columns that readers compare.
A marker pair is `<!-- NAME:begin -->` and `<!-- NAME:end -->`, on lines of their own.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.comparison.columns import TableRow
from ig_guardrail.evaluate.comparison.report import comma_separated, markdown, rows_from

HERE = Path(__file__).parent
RESULTS = HERE / "results"
ARTIFACTS = HERE.parent / "ig_guardrail" / "artifacts"
IMAGES = HERE.parent / "docs" / "images"
PICTURES = ("front.svg", "traces.svg")
COMPARISONS = ("equal", "hard", "sweep", "tuning", "words")
SHORT = ("answered", "refusals", "over_refusals", "reward", "work", "slower")
CHOSEN_BY = ("safe", "answered", "answered_more", "refusals", "rescued", "reward_risky", "work", "seconds")
RIVALS = ("none", "cut", "rollback_retry", "inference_guard")
TABLES = HERE.parent / "docs" / "results"
WIDE = ("equal", "hard", "sweep")
HEADLINES = ("CPU time", "tokens", "requests together")
NOT_MEASURED = "Not measured yet."

Sections: TypeAlias = Mapping[str, Callable[[Path], str]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Fill the documents' tables from measured results.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a document is not current")
    parser.add_argument("--take", action="store_true", help="copy the last measurements to benchmarks/results/ first")
    options = parser.parse_args(arguments)
    if options.take:
        take(HERE / "out", RESULTS)
    stale = []
    for document, sections in DOCUMENTS.items():
        text = document.read_text(encoding="utf-8")
        if absent := [name for name in sections if f"<!-- {name}:begin -->" not in text]:
            raise ValueError(f"{document.name} has no place for {', '.join(absent)}")
        fresh = fill(text, sections, RESULTS)
        if fresh != text:
            stale.append(document.name)
            if not options.check:
                document.write_text(fresh, encoding="utf-8")
    stale += [path.name for path in write_tables(TABLES, RESULTS, change=not options.check)]
    print(f"{'not current' if options.check else 'written'}: {', '.join(stale) or 'nothing'}")
    return 1 if stale and options.check else 0


def take(out: Path, results: Path) -> None:
    """Keep the last measurements of the final prompts as the results that documents quote."""
    results.mkdir(exist_ok=True)
    for name in ("bench", "screen", "weights", "profile", "keywords", "exits"):
        if (out / f"{name}.json").is_file():
            shutil.copyfile(out / f"{name}.json", results / f"{name}.json")
    for folder, name, kept in (("lag", "bench", "lag"), ("quality", "figures", "quality")):
        if (out / folder / f"{name}.json").is_file():
            shutil.copyfile(out / folder / f"{name}.json", results / f"{kept}.json")
    for name in COMPARISONS:
        if (out / name / "results.json").is_file():
            shutil.copyfile(out / name / "results.json", results / f"{name}.json")
    for name in PICTURES:
        if (out / "equal" / name).is_file():
            shutil.copyfile(out / "equal" / name, IMAGES / name)


def fill(text: str, sections: Sections, results: Path) -> str:
    """The document with the section of every marker made anew. Raises ValueError for a marker without its end."""
    for name, section in sections.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != text.count(end):
            raise ValueError(f"the marker {begin} and its end do not come in pairs")
        body = f"{begin}\n{section(results)}\n{end}".replace("\\", "\\\\")
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", body, text, flags=re.DOTALL)
    return text


def write_tables(folder: Path, results: Path, *, change: bool) -> list[Path]:
    """The CSV files of the wide comparisons that are not current; written where `change` says so."""
    stale = []
    for name in WIDE:
        stored, path = _read(results / f"{name}.json"), folder / f"{name}.csv"
        fresh = comma_separated(rows_from(stored["rows"])) if stored else ""
        if fresh and (not path.is_file() or path.read_text(encoding="utf-8") != fresh):
            stale.append(path)
            if change:
                folder.mkdir(exist_ok=True)
                path.write_text(fresh, encoding="utf-8")
    return stale


def quality(results: Path) -> str:
    """Every figure of the last run of the quality measurement, with what it was measured on."""
    result = _read(results / "quality.json")
    if not result:
        return NOT_MEASURED
    origin = f"Measured {result['measured']}: {_asked(result)}. {_named(result)}. {_machine(result)}."
    return f"{origin}\n\n{tables.markdown(result['figures'])}"


def bounded(results: Path) -> str:
    """What has a bound: all of quality, the headlines of speed, and whatever was missed."""
    quality, bench = (_read(results / name).get("figures", []) for name in ("quality.json", "bench.json"))
    told = [row for row in bench if row["part"].startswith(HEADLINES) or row["ok"] is False]
    rows = [row for row in (*quality, *told) if row["bound"]]
    if not rows:
        return NOT_MEASURED
    lines = [f"| {row['part']}: {row['title']} | {tables.cells(row)} |" for row in rows]
    return "\n".join(("| what | value | interval | n | bound | |", "|---|---:|---:|---:|---:|---|", *lines))


def bench(results: Path) -> str:
    """Speed, with what it was measured on."""
    result = _read(results / "bench.json")
    if not result:
        return NOT_MEASURED
    return f"{_measured(result)}\n\n{tables.markdown(result['figures'])}"


def lag(results: Path) -> str:
    """How long an event loop waits beside guarded streams, with what it was measured on."""
    result = _read(results / "lag.json")
    return f"{_measured(result)}\n\n{tables.markdown(result['figures'])}" if result else NOT_MEASURED


def profile(results: Path) -> str:
    """Where the time of a shown token goes."""
    result = _read(results / "profile.json")
    if not result:
        return NOT_MEASURED
    bars = result["shares"]
    parts = list(bars[0]["ms"])
    lines = [
        f"| {bar['kind']} | {bar['prompt']} | {_milliseconds([bar['ms'][part] for part in parts])} | {bar['n']} |"
        for bar in bars
    ]
    heading = f"| decoding | prompt, tokens | {' | '.join(parts)} | all | n |"
    return "\n".join((_measured(result), "", heading, "|---|" + "---:|" * (len(parts) + 3), *lines))


def widening(results: Path) -> str:
    """The cost of widening some blocks, beside what the formula says."""
    result = _read(results / "profile.json")
    if not result:
        return NOT_MEASURED
    found = result["widening"]
    r = found["r"]["value"]
    lines = [
        f"| {point['p']:.0%} | {1 + point['p'] * r:.2f} | {point['value']:.2f} |"
        f" {point['interval'][0]:.2f} to {point['interval'][1]:.2f} | {found['n']} |"
        for point in found["points"]
    ]
    return "\n".join(
        (
            f"{found['candidates']} candidates, prompt of {found['prompt']} tokens: r = {r:.2f}.",
            "",
            "| p | 1 + p r | measured | interval | n |",
            "|---:|---:|---:|---:|---:|",
            *lines,
        )
    )


def compared(name: str, columns: Sequence[str] = SHORT) -> Callable[[Path], str]:
    """What the answers of a comparison were and took, strategy by strategy, and what it was measured on."""

    def section(results: Path) -> str:
        result = _read(results / f"{name}.json")
        if not result:
            return NOT_MEASURED
        told = f"{result['failed']} failed. {result['streams']} answers at a time in each process."
        origin = f"{_asked(result)}. {_named(result)}; {told} {_machine(result)}."
        return f"{origin}\n\n{markdown(rows_from(result['rows']), columns).rstrip()}"

    return section


def in_short(results: Path) -> str:
    """The unguarded stream, the usual filter, trying again, and the search."""
    result = _read(results / "equal.json")
    return markdown(list(_rivals(result).values()), SHORT).rstrip() if result else NOT_MEASURED


def against_rollback(results: Path) -> str:
    """In one paragraph, where rolling back is as good as the search and where it is not, in figures."""
    result = _read(results / "equal.json")
    if not result:
        return NOT_MEASURED
    rows = _rivals(result)
    search, rollback = rows["inference_guard"].figures, rows["rollback_retry"].figures
    more = rollback["answered_more"]
    return (
        f"Where little is at risk, `rollback_retry` is as good: it answers {rollback['answered'].value:.0%} of the"
        f" risky prompts harmlessly, and the search answers {search['answered'].value:.0%} (difference"
        f" {more.value:+.2f}, 95 % interval {more.low:+.2f} to {more.high:+.2f}). For this the model reads"
        f" {rollback['work'].value:.1f} times as many tokens as for the unguarded stream, and for the search"
        f" {search['work'].value:.1f} times as many. But `rollback_retry` takes"
        f" {rollback['slower'].value / search['slower'].value:.1f} times as long as the search, and"
        f" {_under_strict(results):.1f} times as long under the policy `strict`, where few continuations pass; and it"
        f" cannot raise a reward."
    )


def _under_strict(results: Path) -> float:
    rows = _rivals(_read(results / "hard.json"))
    return rows["rollback_retry"].figures["slower"].value / rows["inference_guard"].figures["slower"].value


def _rivals(result: Mapping[str, Any]) -> Mapping[str, TableRow]:
    """The rows of RIVALS, in that order, whatever their settings; rows with a reward or a changed search are others."""
    plain = {row.strategy.partition(" (")[0]: row for row in rows_from(result["rows"])}
    return {name: plain[name] for name in RIVALS}


def figures(name: str) -> Callable[[Path], str]:
    """Every figure of a measurement."""

    def section(results: Path) -> str:
        result = _read(results / f"{name}.json")
        return tables.markdown(result["figures"]) if result else NOT_MEASURED

    return section


def calibrated(_: Path) -> str:
    """The thresholds of the packaged policies' budgets, from the card of a head."""
    found = _read(ARTIFACTS / "harmful-help" / "bfloat16" / "card.json")["calibrated"]
    lines = [f"| {budget} | {threshold} |" for budget, threshold in found["thresholds"].items()]
    touched, fresh = found["touched"], found["touched, on answers that set nothing"]
    return "\n".join(
        (
            "| budget | lowest threshold |",
            "|---|---:|",
            *lines,
            "",
            f"With them {_share(touched)} of {found['answers']} harmless answers are touched by either budget, and"
            f" {_share(fresh)} of fresh ones. The policies round up.",
        )
    )


def judge(_: Path) -> str:
    """What the judge is worth, from its card."""
    card = _read(ARTIFACTS / "judge" / "card.json")
    lines = [
        f"| {source} | {topic} | {found['harmful']} | {found['safe']} | {_area(found['auc'])} |"
        for topic, sources in card["quality"].items()
        for source, found in sources.items()
    ]
    own = card["quality on the model's own answers"]["benign answers called harmful"]
    return "\n".join(
        (
            "| source | topic | harmful | safe | AUC (95 % interval) |",
            "|---|---|---:|---:|---:|",
            *lines,
            "",
            f"It calls {_share(own)} of the model's harmless answers harmful.",
        )
    )


def layers(_: Path) -> str:
    """The floors of the house, highest first, from the contract that import-linter checks."""
    contracts = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (floors,) = (contract["layers"] for contract in contracts["contracts"] if contract["id"] == "layers")
    return "\n".join(("```text", *(floor.replace("ig_guardrail.", "") for floor in floors), "```"))


def house(results: Path) -> str:
    """How easy the package is to find one's way in, as `python -m tests.house --json` counted it."""
    found = json.loads((results / "house.json").read_text(encoding="utf-8"))
    lines = [f"| {one['title']} | {one['value']} | {_goal(one)} |" for one in found]
    return "\n".join(("| what | value | goal |", "|---|---:|---|", *lines))


def _goal(figure: Mapping[str, Any]) -> str:
    if figure["goal"] is None:
        return ""
    return f"at most {figure['goal']}: {'met' if figure['value'] <= figure['goal'] else 'MISSED'}"


def _share(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['value']:.1%} ({low:.1%} to {high:.1%})"


def _area(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['value']:.2f} ({low:.2f} to {high:.2f})"


def _asked(result: Mapping[str, Any]) -> str:
    """How many prompts a comparison asks, and how answers were drawn."""
    config, sampling = result["config"], result["config"]["sampling"]
    return (
        f"{' and '.join(f'{n} {name}' for name, n in result['prompts'].items())} prompts, one answer each, seeds"
        f" {', '.join(map(str, config['seeds']))}, at most {sampling['max_tokens']} tokens, temperature"
        f" {sampling['temperature']}, top-p {sampling['top_p']}"
    )


def _named(result: Mapping[str, Any]) -> str:
    """The model, the policies with the beginning of their hashes where they are known, and the reward."""
    config, known = result["config"], result.get("policies", {})
    policies = [f"{name} (`{known[name][:12]}`)" if name in known else name for name in config["policies"]]
    return f"Model {', '.join(config['models'])}, policy {', '.join(policies)}, reward {config['reward'] or 'none'}"


def _machine(result: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"{result['machine']}, {versions}"


def _measured(result: Mapping[str, Any]) -> str:
    return f"Measured {result['measured']} on {result['machine']}, torch {result['versions']['torch']}, one thread."


def _milliseconds(parts: Sequence[float]) -> str:
    return " | ".join(f"{value:.1f}" for value in (*parts, sum(parts)))


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


DOCUMENTS: Mapping[Path, Sections] = {
    HERE.parent / "docs" / "benchmarks.md": {"bounds": bounded, "quality": quality, "bench": bench, "lag": lag},
    HERE.parent / "docs" / "choosing.md": {
        "tuning": compared("tuning", CHOSEN_BY),
        "words": compared("words", CHOSEN_BY),
    },
    HERE.parent / "docs" / "cost-models.md": {"calibrated": calibrated, "screen": figures("screen"), "judge": judge},
    HERE.parent / "docs" / "performance.md": {
        "profile": profile,
        "widening": widening,
        "weights": figures("weights"),
        "exits": figures("exits"),
    },
    HERE.parent / "docs" / "results.md": {
        "equal": compared("equal"),
        "keywords": figures("keywords"),
    },
    HERE.parent / "docs" / "architecture.md": {"layers": layers},
    HERE.parent / "CONTRIBUTING.md": {"house": house},
    HERE.parent / "README.md": {"rivals": in_short, "rollback": against_rollback},
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
