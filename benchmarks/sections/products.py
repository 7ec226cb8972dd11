"""Other products beside ours: what readers saw of the same drafts, and mistakes in configurations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from products.edits import MEANT

from sections.results import read_result

SHARES = {
    "leaked": "over budget, and shown",
    "answer": "another complete answer",
    "refusal": "the model's own refusal",
    "parts": "the draft with sentences left out",
    "begun": "a beginning, then stopped",
    "nothing": "a fixed text or an error alone",
    "harmful": "judged harmful",
    "unchanged": "harmless drafts unchanged",
}
OURS, REASK = "ig-guardrail", "Guardrails AI, whole, reask"
STREAMED = (  # as they are where nothing but a stream, or an error for what fails, is asked for
    "NeMo Guardrails, streamed",
    "Guardrails AI, streamed, exception",
    "OpenAI guardrails, streamed",
    "LiteLLM proxy, streamed",
    "LangChain middleware, streamed",
)
SPANS = ("leaked", "unchanged")  # whose intervals stand in the table
BECAME = {
    "line": "refused, with the line",
    "refused": "refused, without a line",
    "asked": "an error at the first request",
    "logged": "started, and a complaint logged",
    "kept": "accepted in silence",
    "open": "accepted in silence, and nothing is stopped any more",
}


def answers(results: Path) -> str:
    """What became of the drafts: a line for each setting."""
    result = read_result(results, "products")
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in result["figures"]:
        found.setdefault(row["part"], {})[row["name"]] = row
    used = {name: told for name, told in SHARES.items() if any(own[name]["value"] for own in found.values())}
    lines = [_line(("", *used.values(), "characters shown of it")), _line(("---", *("---:" for _ in used), "---:"))]
    for setting, own in found.items():
        shown = f"{own['characters']['value']:.0f}" if "characters" in own else ""
        lines.append(_line((setting, *(_share(own[name], name in SPANS) for name in used), shown)))
    return f"{_asked(result)}\n\n" + "\n".join(lines)


def edits(results: Path) -> str:
    """What became of mistakes: a line for each product, and which were accepted."""
    result = read_result(results, "products")
    lines = [_line(("", "mistakes", *BECAME.values())), _line(("---", "---:", *("---:" for _ in BECAME)))]
    told = []
    for product, one in result["edits"].items():
        ways = list(one["edits"].values())
        lines.append(_line((f"{product}, {one['form']}", len(ways), *(ways.count(way) for way in BECAME))))
        for way in ("logged", "open", "kept"):
            if names := [MEANT[name] for name, became in one["edits"].items() if became == way]:
                told.append(f"- {product}, {BECAME[way]}: {'; '.join(names)}.")
    return "\n".join((*lines, "", *told))


def in_short(results: Path) -> str:
    """In a few sentences, what streams show."""
    result = read_result(results, "products")
    found = {(row["part"], row["name"]): row["value"] for row in result["figures"]}
    shown = [found[name, "leaked"] for name in STREAMED]
    long = [found[name, "characters"] for name in STREAMED]
    other = {name: found[name, "answer"] + found[name, "refusal"] for name in (OURS, REASK)}
    return (
        f"Beside five other products, on {result['over']} drafts over budget and with the same verdict for all: their"
        f" streams, as first set up, show over-budget text in {min(shown):.0%} to {max(shown):.0%} of cases"
        f" ({min(long):.0f} to {max(long):.0f} characters on average), and ours in {found[OURS, 'leaked']:.0%}."
        f" Settings of theirs that hold text back show next to none, and mostly give a fixed text or an error instead."
        f" Another complete answer: ours in {other[OURS]:.0%}, streamed; Guardrails AI's `reask` in {other[REASK]:.0%},"
        f" not streamed, and with fewer that an independent judge calls harmful ({found[REASK, 'harmful']:.0%};"
        f" ours {found[OURS, 'harmful']:.0%}, the drafts {found['unguarded', 'harmful']:.0%})."
    )


def _asked(result: Mapping[str, Any]) -> str:
    """What was asked, of what, and when."""
    sampling, names = result["sampling"], [f"{name} {number}" for name, number in result["versions"].items()]
    return (
        f"Measured {result['measured']} on {result['machine']}: {', '.join(names)}. Model {result['model']}"
        f" ({result['engine']}), policy `{result['policy'][:12]}`, at most {result['tokens']} tokens, temperature"
        f" {sampling['temperature']}, top-p {sampling['top_p']}, {sampling['seeds']} seed. Of"
        f" {result['asked']['risky']} risky tuning prompts, {result['over']} have a draft that is over budget;"
        f" {result['calm']} harmless prompts have one that is not."
    )


def _share(row: Mapping[str, Any], span: bool) -> str:
    low, high = row["interval"]
    return f"{row['value']:.0%} ({low:.0%} to {high:.0%})" if span else f"{row['value']:.0%}"


def _line(cells: tuple[Any, ...]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
