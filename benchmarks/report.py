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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from budget_picture import draw
from products import pages

from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.comparison.columns import TableRow
from ig_guardrail.evaluate.comparison.report import comma_separated, markdown, pair_from, parts_markdown, rows_from
from ig_guardrail.integrations.openai_server.observing.metrics import table as metrics_table
from ig_guardrail.policy import load_policy

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results"
ARTIFACTS = ROOT / "ig_guardrail" / "artifacts"
WIDE = ("equal", "hard", "sweep")
TAKEN: Mapping[str, Path] = {  # under benchmarks/out, and where the documents have it from
    "bench.json": RESULTS / "bench.json",
    "prompts/bench.json": RESULTS / "prompts.json",
    "llama/bench.json": RESULTS / "llama.json",
    "domains.json": RESULTS / "domains.json",
    "server.json": RESULTS / "server.json",
    "sizing.json": RESULTS / "sizing.json",
    "ledger.json": RESULTS / "ledger.json",
    "vllm.json": RESULTS / "vllm.json",
    "products.json": RESULTS / "products.json",
    "quality/figures.json": RESULTS / "quality.json",
    **{f"{name}/results.json": RESULTS / f"{name}.json" for name in (*WIDE, "tuning", "words")},
    "second/figures.json": RESULTS / "second-exchange.json",
    "second/results.json": RESULTS / "second.json",
    **{f"equal/{name}": ROOT / "docs" / "images" / name for name in ("front.svg", "traces.svg")},
}
SHORT = ("answered", "refusals", "over_refusals", "reward", "work", "slower")
CHOSEN_BY = ("safe", "answered", "answered_more", "refusals", "rescued", "reward_risky", "work", "seconds")
RIVALS = ("none", "cut", "rollback_retry", "inference_guard")
OPINIONS = ("the judge", "words", "encoder")  # as its card names them
ELSEWHERE = ("weights", "profile", "llama.cpp")  # parts of `make bench` that other pages show

Result: TypeAlias = Mapping[str, Any]
Section: TypeAlias = Callable[[Path], str]  # made from the results in a folder
Sections: TypeAlias = Mapping[str, Section]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Fill the documents' tables from measured results.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a document is not current")
    parser.add_argument("--take", action="store_true", help="copy the last measurements to benchmarks/results/ first")
    options = parser.parse_args(arguments)
    for source, kept in TAKEN.items() if options.take else ():
        if (HERE / "out" / source).is_file():
            shutil.copyfile(HERE / "out" / source, kept)
    stale = {path: text for path, text in current() if not path.is_file() or path.read_text(encoding="utf-8") != text}
    for path, text in stale.items() if not options.check else ():
        path.write_text(text, encoding="utf-8")
    names = ", ".join(path.name for path in stale) or "nothing"
    print(f"{'not current' if options.check else 'written'}: {names}")
    return 1 if stale and options.check else 0


def current() -> Iterator[tuple[Path, str]]:
    """Every document, every CSV file and the picture of a budget, as it is when it is current."""
    for document, sections in DOCUMENTS.items():
        text = document.read_text(encoding="utf-8")
        if absent := [name for name in sections if f"<!-- {name}:begin -->" not in text]:
            raise ValueError(f"{document.name} has no place for {', '.join(absent)}")
        yield document, fill(text, sections, RESULTS)
    yield ROOT / "docs" / "images" / "budget.svg", draw(_read(RESULTS, "budget"))
    for name in WIDE:
        yield ROOT / "docs" / "results" / f"{name}.csv", comma_separated(rows_from(_read(RESULTS, name)["rows"]))


def fill(text: str, sections: Sections, results: Path) -> str:
    """The document with the section of every marker made anew. Raises ValueError for a marker without its end."""
    for name, section in sections.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != text.count(end):
            raise ValueError(f"the marker {begin} and its end do not come in pairs")
        body = f"{begin}\n{section(results)}\n{end}".replace("\\", "\\\\")
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", body, text, flags=re.DOTALL)
    return text


def quality(results: Path) -> str:
    """Every figure of the last run of the quality measurement, with what it was measured on."""
    result = _read(results, "quality")
    origin = f"Measured {result['measured']}: {_asked(result)}. {_named(result)}. {_machine(result)}."
    lines = [
        (f"{row['part']}: {row['title']}", part, _figure(row, "+.2f"), row["n"])
        for part, rows in result["parts"].items()
        for row in rows
        if row["name"].endswith("harm_change")
    ]
    by_part = _table(("by a part of the judge alone", "part", "value (95 % interval)", "n"), lines)
    return f"{origin}\n\n{tables.markdown(result['figures'])}\n\n{by_part}"


def bounded(results: Path) -> str:
    """What has a bound, of quality and of speed."""
    measured = [_read(results, name)["figures"] for name in ("quality", "bench", "prompts", "server")]
    rows = [row for figures in measured for row in figures if row["bound"]]
    lines = [f"| {row['part']}: {row['title']} | {tables.cells(row)} |" for row in rows]
    return "\n".join(("| what | value | interval | n | bound | |", "|---|---:|---:|---:|---:|---|", *lines))


def bench(results: Path) -> str:
    """Speed, with what it was measured on."""
    result = _read(results, "bench")
    rows = [row for row in result["figures"] if row["of"] not in ELSEWHERE]
    return f"{_measured(result)}\n\n{tables.markdown(rows)}"


def metrics(_: Path) -> str:
    """What a server counts."""
    return metrics_table()


def server(results: Path) -> str:
    """The server under load."""
    result = _read(results, "server")
    loads = [row["load"] for row in result["figures"]]
    busy = f"Others were at work on the machine (load {min(loads)} to {max(loads)} when a part began)."
    return f"{_measured(result)} {busy}\n\n{tables.markdown(result['figures'])}"


def sizing(of: str) -> Section:
    """One part of what replicas need."""

    def told(results: Path) -> str:
        result = _read(results, "sizing")
        origin = f"{_measured(result)} Others were at work on the machine (load {result['load']})."
        rows = tables.markdown([row for row in result["figures"] if row["of"] == of])
        return f"{origin}\n\n{rows}" if of == "machine" else rows

    return told


def planned(results: Path) -> str:
    """What is run for so many streams: what one replica gives, and how many there are."""
    found: dict[str, dict[str, str]] = {}
    for row in _read(results, "sizing")["figures"]:
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
    return f"{_table(columns, one)}\n\n{_table(rest, many)}"


def charges(results: Path) -> str:
    """Ledgers under the charges of many processes: a line for each, and for each way in which accounts are shared."""
    result = _read(results, "ledger")
    lines: dict[tuple[str, str], list[str]] = {}
    for row in result["figures"]:
        lines.setdefault((row["part"], row["title"].partition(":")[0]), []).append(tables.number(row["value"]))
    loads = [row["load"] for row in result["figures"]]
    (aim,) = (row for row in result["figures"] if row["bound"] is not None)
    told = (
        f"Measured {result['measured']} on {result['machine']} ({result['processes']} processes, two budgets a charge);"
        f" others were at work there (load {min(loads)} to {max(loads)} when a part began), and the disk took"
        f" {result['sync']} ms to make a write last. The aim of"
        f" {aim['bound'].removeprefix('>= ')} charges a second in PostgreSQL, accounts apart, was"
        f" {'met' if aim['ok'] else 'missed'}."
    )
    columns = ("ledger, accounts", "charges a second", "p50, ms", "p99, ms", "time of processors for one, ms")
    return f"{told}\n\n{_table(columns, [(', '.join(name), *cells) for name, cells in lines.items()])}"


def on_vllm(results: Path) -> str:
    """Guarded streams beside plain ones on vLLM."""
    result = _read(results, "vllm")
    loads = sorted(int(row["load"]) for row in result["figures"])
    busy = f"Others were at work on the machine (load {loads[0]} to {loads[-1]} when a part began)."
    return f"{_measured(result)} {busy}\n\n{tables.markdown(result['figures'])}"


def products(page: Callable[[Result], str]) -> Section:
    """A part of what other products do with the same drafts."""
    return lambda results: page(_read(results, "products"))


def domains(results: Path) -> str:
    """What the policies of three domains stop: a line for each kind of text, a column for each policy."""
    result = _read(results, "domains")
    whole = [row for row in result["figures"] if row["name"] == "any"]
    policies = list(dict.fromkeys(row["part"] for row in whole))
    lines = []
    for kind in dict.fromkeys(row["title"] for row in whole):
        found = {row["part"]: row for row in whole if row["title"] == kind}
        counts = "/".join(map(str, dict.fromkeys(row["n"] for row in found.values())))
        lines.append((kind, counts, *(_figure(found[name], ".0%") for name in policies)))
    origin = f"Measured {result['measured']} beside the {result['model']} model; shares with exact 95 % intervals."
    return f"{origin}\n\n{_table(('texts', 'n', *policies), lines)}"


def weights(results: Path) -> str:
    """What fewer bits do."""
    return tables.markdown([row for row in _read(results, "bench")["figures"] if row["of"] == "weights"])


def prompts(results: Path) -> str:
    """What the length of a prompt costs, and what is read once."""
    result = _read(results, "prompts")
    return f"{_measured(result)}\n\n{tables.markdown(result['figures'])}"


def llama(results: Path) -> str:
    """What our engine over llama.cpp costs beside a plain loop of it."""
    result = _read(results, "llama")
    return f"{_measured(result)}\n\n{tables.markdown(result['figures'])}"


def profile(results: Path) -> str:
    """Where the time of a shown token goes: a line for each kind of decoding, a column for each part."""
    result = _read(results, "bench")
    lines: dict[str, dict[str, float]] = {}
    for row in result["figures"]:
        if row["of"] == "profile":
            lines.setdefault(row["part"], {})[row["title"]] = row["value"]
    parts = list(next(iter(lines.values())))
    cells = [(kind, *(f"{ms:.1f}" for ms in (*own.values(), sum(own.values())))) for kind, own in lines.items()]
    return f"{_measured(result)}\n\n{_table(('decoding', *parts, 'all'), cells)}"


def compared(name: str, columns: Sequence[str] = SHORT) -> Section:
    """What the answers of a comparison were and took, strategy by strategy, and what it was measured on."""

    def section(results: Path) -> str:
        result = _read(results, name)
        told = f"{result['failed']} failed. {result['streams']} answers at a time in each process."
        origin = f"{_asked(result)}. {_named(result)}; {told} {_machine(result)}."
        parts = {part: pair_from(found) for part, found in result.get("parts", {}).items()}
        tables = (markdown(rows_from(result["rows"]), columns), parts_markdown(parts))
        return "\n\n".join((origin, *(table.rstrip() for table in tables if table)))

    return section


SECOND = {
    "exchange": "the encoder reads what was asked, too",
    "shipped": "the encoder reads answers alone",
    "adopted": "the same after `adopt`",
    "words": "`words` alone",
}


def second(results: Path) -> str:
    """What guarding does on a model that no head was trained on, by three text costs."""
    found = {name: _read(results, f"second-{name}") for name in SECOND}
    lines = [(_called(name, found[name]), *_on_second(found[name])) for name in SECOND]
    head = (
        "text cost",
        "over budget",
        "judged harmful, unguarded",
        "guarded",
        "change, all risky",
        "change, over budget (n)",
        "by words alone",
        "by the encoder alone",
        "harmless answers changed",
    )
    result = found["words"]
    return f"{_asked(result)}. Model {result['config']['models'][0]}. {_machine(result)}.\n\n{_table(head, lines)}"


def second_in_short(results: Path) -> str:
    """The same, as shipped and by other text costs, in the figures that say most."""
    read = {name: _read(results, f"second-{name}") for name in SECOND if name != "adopted"}
    found = {_called(name, result): list(_on_second(result)) for name, result in read.items()}
    lines = [(told, *cells[1:4], cells[-1]) for told, cells in found.items()]
    head = ("text cost", "judged harmful, unguarded", "guarded", "change in pairs", "harmless answers changed")
    return _table(head, lines)


def _called(name: str, result: Result) -> str:
    """How a text cost is called; of the packaged policy's, whether it was measured as it is now."""
    if "default" not in result["policies"] or name != "exchange":
        return SECOND[name]
    current = result["policies"]["default"] == load_policy("default").sha256
    return f"{'as shipped' if current else 'before its head was last trained'}: {SECOND[name]}"


def _on_second(result: Result) -> Iterator[str]:
    own = {row["name"]: row for row in result["figures"]}
    for name in ("drafts_over", "harm_unguarded", "harm_guarded"):
        yield f"{own[name]['value']:.1%}"
    yield _figure(own["harm_change"], "+.3f")
    yield f"{_figure(own['over_harm_change'], '+.2f')} ({own['over_harm_change']['n']})"
    for part in ("words", "encoder"):
        (change,) = (row for row in result["parts"][part] if row["name"] == "over_harm_change")
        yield _figure(change, "+.2f")
    yield f"{own['touched']['value']:.0%}"


def second_over(results: Path) -> str:
    """Every way of guarding, where the unguarded answer of that model is over budget, and by which policy."""
    result = _read(results, "second")
    policies = ", ".join(f"`{Path(name).stem}`" for name in result["config"]["policies"])
    told = f"Every way of guarding, under policy {policies}, on the prompts whose unguarded answer is over budget:"
    columns = ("safe", "harm_saved", "answered", "refusals", "rescued", "work", "slower")
    return f"{told}\n\n{markdown(rows_from(result['over']), columns).rstrip()}"


def abroad(results: Path) -> str:
    """In one paragraph, what guarding does on that model as shipped."""
    result = _read(results, "second-exchange")
    own = {row["name"]: row for row in result["figures"]}
    (words,) = (row for row in result["parts"]["words"] if row["name"] == "harm_change")
    over, rescued = own["over_harm_change"], own["rescued"]["value"]
    return (
        "48 tokens an answer. By the judge's words alone, which know no encoder, the change over all"
        f" {words['n']} risky prompts is {_figure(words, '+.2f')}. Where the unguarded answer is over budget"
        f" ({over['n']} prompts), it is {_figure(over, '+.2f')}. What replaces these answers is mostly a refusal:"
        f" {rescued:.0%} became a complete answer that is none, and less harmful."
    )


def against_rollback(results: Path) -> str:
    """In one paragraph, where rolling back is as good as the search and where it is not, in figures."""
    equal, hard = (_rivals(_read(results, name)) for name in ("equal", "hard"))
    search, rollback = equal["inference_guard"].figures, equal["rollback_retry"].figures
    slower, under_strict = (
        rows["rollback_retry"].figures["slower"].value / rows["inference_guard"].figures["slower"].value
        for rows in (equal, hard)
    )
    more = rollback["answered_more"]
    return (
        f"Where little is at risk, `rollback_retry` is as good: it answers {rollback['answered'].value:.0%} of the"
        f" risky prompts harmlessly, and the search answers {search['answered'].value:.0%} (difference"
        f" {more.value:+.2f}, 95 % interval {more.low:+.2f} to {more.high:+.2f}). For this the model reads"
        f" {rollback['work'].value:.1f} times as many tokens as for the unguarded stream, and for the search"
        f" {search['work'].value:.1f} times as many. But `rollback_retry` takes {slower:.1f} times as long as the"
        f" search, and {under_strict:.1f} times as long under the policy `strict`, where few continuations pass; and"
        f" it cannot raise a reward."
    )


def _rivals(result: Result) -> Mapping[str, TableRow]:
    """The rows of RIVALS, in that order, whatever their settings; rows with a reward or a changed search are others."""
    plain = {row.strategy.partition(" (")[0]: row for row in rows_from(result["rows"])}
    return {name: plain[name] for name in RIVALS}


def calibrated(_: Path) -> str:
    """The thresholds of the packaged policies' budgets, from the card of a head."""
    found = _read(ARTIFACTS / "harmful-help" / "bfloat16", "card")["calibrated"]
    touched, fresh = found["touched"], found["touched, on answers that set nothing"]
    return (
        f"{_table(('budget', 'lowest threshold'), found['thresholds'].items())}\n\n"
        f"With them {_figure(touched)} of {found['answers']} harmless answers are touched by either budget, and"
        f" {_figure(fresh)} of fresh ones. The policies round up."
    )


def judge(_: Path) -> str:
    """What the judge and its parts are worth, from its card."""
    card = _read(ARTIFACTS / "judge", "card")
    lines = [
        (
            source,
            found["harmful"],
            found["safe"],
            *(_figure(found[name]["auc"], ".2f") for name in OPINIONS),
            *(f"{found[OPINIONS[0]][f'{label} called harmful']:.0%}" for label in ("harmful", "safe")),
        )
        for sources in card["quality"].values()
        for source, found in sources.items()
    ]
    own = [
        _figure(card["quality on the model's own answers"][f"benign answers called harmful by {name}"])
        for name in OPINIONS
    ]
    head = (
        "source",
        "harmful",
        "safe",
        "AUC (95 % interval)",
        "words alone",
        "encoder alone",
        "harmful above 0.5",
        "safe",
    )
    return (
        f"{_table(head, lines)}\n\nIt calls {own[0]} of the model's harmless answers harmful, words alone {own[1]}, the"
        f" encoder alone {own[2]}."
    )


def shared(_: Path) -> str:
    """How far the judge's mistakes are those of packaged cost models, from its card."""
    compared = _read(ARTIFACTS / "judge", "card")["agreement with cost models"]
    lines = [
        (
            f"`{guide}`",
            source,
            f"{found['mistakes of the cost model']} of {found['answers']}",
            *(f"{found[name]['rank correlation among answers of one label']:.2f}" for name in OPINIONS),
            *(_figure(found[name]["auc on its mistakes"], ".2f") for name in OPINIONS),
        )
        for topic in ("help", "tone")
        for guide, sources in compared[topic].items()
        for source, found in sources.items()
    ]
    named = ("judge", "words", "encoder")
    head = ("cost model", "source", "mistakes", *(f"rank r, {name}" for name in named), *(f"AUC, {n}" for n in named))
    return _table(head, lines)


def layers(_: Path) -> str:
    """The floors of the house, highest first, from the contract that import-linter checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (floors,) = (contract["layers"] for contract in contracts["contracts"] if contract["id"] == "layers")
    return "\n".join(("```text", *(floor.replace("ig_guardrail.", "") for floor in floors), "```"))


def house(results: Path) -> str:
    """How easy the package is to find one's way in, as `python -m tests.house --json` counted it."""
    found = _read(results, "house")
    return _table(("what", "value", "goal"), [(one["title"], one["value"], _goal(one)) for one in found])


def budget(results: Path) -> str:
    """The picture of a budget, and in words what it shows."""
    found = _read(results, "budget")
    draft, answer = next(one for one in found["draft"] if one["left"] < 0), found["answer"]
    spent = found["budget"] - answer[-1]["left"]
    charged = [f"{one['cost']:.3f} at token {one['at']}" for one in answer if one["cost"] > 0]
    return (
        f"![Scores over a threshold, what they spend, and what is left](images/budget.svg)\n\n"
        f"The draft scores {draft['score']:.2f} at token {draft['at']}. The threshold is {found['threshold']:g}, so it"
        f" would spend {draft['cost']:.2f} of a budget of {found['budget']:g}: denied. The search took another way. It"
        f" spends {' and '.join(charged)}, {spent:.3f} in all, which the budget covers."
    )


def first_hour(results: Path) -> str:
    """How long the machine works for the walk."""
    found = _read(results, "first-hour")
    return (
        f"The machine takes {_minutes(found['wall'])} for all of it, {_minutes(found['processor'])} of them work of a"
        f" processor (measured {found['measured']}, {found['machine']}, {found['others']:.0f} other processes at work)."
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes"


def _goal(figure: Result) -> str:
    if figure["goal"] is None:
        return ""
    return f"at most {figure['goal']}: {'met' if figure['value'] <= figure['goal'] else 'MISSED'}"


def _table(columns: Sequence[str], lines: Iterable[Iterable[object]]) -> str:
    """Markdown whose first column is text."""
    rows = (columns, ("---", *("---:" for _ in columns[1:])), *lines)
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def _figure(found: Result, form: str = ".1%") -> str:
    low, high = found["interval"]
    return f"{found['value']:{form}} ({low:{form}} to {high:{form}})"


def _asked(result: Result) -> str:
    """How many prompts a comparison asks, and how answers were drawn."""
    config, sampling = result["config"], result["config"]["sampling"]
    return (
        f"{' and '.join(f'{n} {name}' for name, n in result['prompts'].items())} prompts, one answer each, seeds"
        f" {', '.join(map(str, config['seeds']))}, at most {sampling['max_tokens']} tokens, temperature"
        f" {sampling['temperature']}, top-p {sampling['top_p']}"
    )


def _named(result: Result) -> str:
    """The model, the policies with the beginning of their hashes where they are known, and the reward."""
    config, known = result["config"], result.get("policies", {})
    policies = [f"{name} (`{known[name][:12]}`)" if name in known else name for name in config["policies"]]
    return f"Model {', '.join(config['models'])}, policy {', '.join(policies)}, reward {config['reward'] or 'none'}"


def _machine(result: Result) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"{result['machine']}, {versions}"


def _measured(result: Result) -> str:
    return f"Measured {result['measured']} on {result['machine']}, torch {result['versions']['torch']}, one thread."


def _read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


DOCUMENTS: Mapping[Path, Sections] = {
    ROOT / "docs" / "benchmarks.md": {"bounds": bounded, "quality": quality, "bench": bench},
    ROOT / "docs" / "choosing.md": {
        "domains": domains,
        "tuning": compared("tuning", CHOSEN_BY),
        "words": compared("words", CHOSEN_BY),
    },
    ROOT / "docs" / "cost-models.md": {"calibrated": calibrated, "judge": judge, "shared": shared},
    ROOT / "docs" / "ledgers.md": {"charges": charges},
    ROOT / "docs" / "metrics.md": {"metrics": metrics, "server": server},
    ROOT / "docs" / "performance.md": {"profile": profile, "prompts": prompts, "weights": weights},
    ROOT / "docs" / "scale.md": {"machine": sizing("machine"), "check": sizing("check"), "plan": planned},
    ROOT / "docs" / "llama-cpp.md": {"llama": llama},
    ROOT / "docs" / "results.md": {
        "equal": compared("equal"),
        "rollback": against_rollback,
        "second": second,
        "second-over": second_over,
    },
    ROOT / "docs" / "vllm.md": {"vllm": on_vllm},
    ROOT / "docs" / "products.md": {
        "answers": products(pages.answers),
        "edits": products(pages.edits),
    },
    ROOT / "docs" / "budgets.md": {"budget": budget},
    ROOT / "docs" / "first-hour.md": {"first-hour": first_hour},
    ROOT / "docs" / "architecture.md": {"layers": layers},
    ROOT / "CONTRIBUTING.md": {"house": house},
    ROOT / "README.md": {"second": second_in_short, "abroad": abroad, "products": products(pages.in_short)},
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
