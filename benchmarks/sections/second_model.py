"""What guarding does on a model that no head was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ig_guardrail.evaluate.comparison.report import markdown, rows_from
from ig_guardrail.policy import load_policy
from sections.cells import figure, table
from sections.origin import asked, machine
from sections.results import Result, read_result

SECOND = {
    "exchange": "the encoder reads what was asked, too",
    "shipped": "the encoder reads answers alone",
    "adopted": "the same after `adopt`",
    "words": "`words` alone",
}


def second(results: Path) -> str:
    """What guarding does on a model that no head was trained on, by three text costs."""
    found = {name: read_result(results, f"second-{name}") for name in SECOND}
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
    return f"{asked(result)}. Model {result['config']['models'][0]}. {machine(result)}.\n\n{table(head, lines)}"


def second_in_short(results: Path) -> str:
    """The same, as shipped and by other text costs, in the figures that say most."""
    read = {name: read_result(results, f"second-{name}") for name in SECOND if name != "adopted"}
    found = {_called(name, result): list(_on_second(result)) for name, result in read.items()}
    lines = [(told, *cells[1:4], cells[-1]) for told, cells in found.items()]
    head = ("text cost", "judged harmful, unguarded", "guarded", "change in pairs", "harmless answers changed")
    return table(head, lines)


def second_over(results: Path) -> str:
    """Every way of guarding, where the unguarded answer of that model is over budget, and by which policy."""
    result = read_result(results, "second")
    policies = ", ".join(f"`{Path(name).stem}`" for name in result["config"]["policies"])
    told = f"Every way of guarding, under policy {policies}, on the prompts whose unguarded answer is over budget:"
    columns = ("safe", "harm_saved", "answered", "refusals", "rescued", "work", "slower")
    return f"{told}\n\n{markdown(rows_from(result['over']), columns).rstrip()}"


def abroad(results: Path) -> str:
    """In one paragraph, what guarding does on that model as shipped."""
    result = read_result(results, "second-exchange")
    own = {row["name"]: row for row in result["figures"]}
    (words,) = (row for row in result["parts"]["words"] if row["name"] == "harm_change")
    over, rescued = own["over_harm_change"], own["rescued"]["value"]
    return (
        "48 tokens an answer. By the judge's words alone, which know no encoder, the change over all"
        f" {words['n']} risky prompts is {figure(words, '+.2f')}. Where the unguarded answer is over budget"
        f" ({over['n']} prompts), it is {figure(over, '+.2f')}. What replaces these answers is mostly a refusal:"
        f" {rescued:.0%} became a complete answer that is none, and less harmful."
    )


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
    yield figure(own["harm_change"], "+.3f")
    yield f"{figure(own['over_harm_change'], '+.2f')} ({own['over_harm_change']['n']})"
    for part in ("words", "encoder"):
        (change,) = (row for row in result["parts"][part] if row["name"] == "over_harm_change")
        yield figure(change, "+.2f")
    yield f"{own['touched']['value']:.0%}"
