"""A receipt for people: the outcome, each budget as a bar, and what the answer took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ig_guardrail.types import Receipt, Verdict

COLOURS: Mapping[str, str] = {
    "completed": "green",
    "refused": "yellow",
    "ended": "yellow",
    "cancelled": "magenta",
    "failed": "red",
}
BAR = 16  # cells


def table(receipt: Receipt) -> Group:
    """The whole record of one answer, a few lines long."""
    found = (*_message(receipt), *_bounded(receipt), *_substitutes(receipt), *_fired(receipt), *_sources(receipt))
    return Group(_heading(receipt), _budgets(receipt), *found, _effort(receipt))


def line(receipt: Receipt) -> Text:
    """The same in one line: the outcome and the budgets."""
    budgets = [
        f"{name} {_amount(entry['spent'])}/{_amount(entry['of'])}{_mode(entry)}"
        for name, entry in receipt.spend.items()
    ]
    told = [*_arm(receipt), *budgets]
    return Text(" · ").join([_outcome(receipt.verdict), *(Text(one, "dim") for one in told)])


def _heading(receipt: Receipt) -> Text:
    policy, strategy = receipt.policy, receipt.search["strategy"]
    facts = [f"policy {policy['name']} {policy['version']}", *_arm(receipt), f"strategy {strategy}"]
    return Text(" · ").join([_outcome(receipt.verdict), *(Text(fact, "dim") for fact in facts)])


def _arm(receipt: Receipt) -> list[str]:
    """Which arm answered, where there is a canary."""
    return [f"arm {receipt.arm}"] if receipt.arm else []


def _outcome(verdict: Verdict) -> Text:
    words = Text(verdict.outcome, f"bold {COLOURS[verdict.outcome]}")
    notes = [note for note in (verdict.finish, verdict.reason, "" if verdict.guarded else "unguarded") if note]
    return words.append(f" ({', '.join(notes)})", "not bold") if notes else words


def _budgets(receipt: Receipt) -> Table:
    """A row for each budget: what it spent, and the highest score that the answer was charged for."""
    grid = Table.grid(padding=(0, 2))
    for name, entry in receipt.spend.items():
        highest = max((charge.score for charge in receipt.charges if charge.budget == name), default=0.0)
        spent = f"spent {_amount(entry['spent'])} of {_amount(entry['of'])}{_mode(entry)}"
        grid.add_row(f"  {name}", _bar(entry["spent"], entry["of"]), spent, Text(f"highest score {highest:.2f}", "dim"))
    return grid


def _message(receipt: Receipt) -> list[Text]:
    """Which of the policy's messages was shown, for what, and who approved it."""
    if not receipt.message_name:
        return []
    denied = f", denied: {', '.join(receipt.denied)}" if receipt.denied else ""
    approved = f", approved by {receipt.approved['owner']}" if receipt.approved else ""
    return [Text(f"  message {receipt.message_name}{denied}{approved}", "dim")]


def _bounded(receipt: Receipt) -> list[Text]:
    """Which parts of a value or of calls may say less than was meant."""
    if not receipt.bounded:
        return []
    return [Text(f"  perhaps cut short by --max-tokens: {', '.join(one or 'all of it' for one in receipt.bounded)}")]


def _substitutes(receipt: Receipt) -> list[Text]:
    """A line for each cost model that served instead of another."""
    return [Text(f"  {entry} served as {name}", "dim") for name, entry in receipt.substitutes.items()]


def _fired(receipt: Receipt) -> list[Text]:
    """A line for each cost model whose patterns matched in the answer, a draft of it or the prompt."""
    found = {name: ", ".join(_pattern(name, one) for one in rules) for name, rules in receipt.fired.items()}
    return [Text(f"  matched {rules}", "dim") for rules in found.values()]


def _pattern(model: str, rule: str | int) -> str:
    return f"{model}.patterns[{rule}]" if isinstance(rule, int) else f"{model}: {rule}"


def _sources(receipt: Receipt) -> list[Text]:
    """A line for each document that an answer, or a draft of it, recites."""
    found = [f"{one.document} (characters {one.start} to {one.stop})" for one in receipt.sources]
    return [Text(f"  word for word in {one}", "dim") for one in found]


def _bar(spent: float, of: float) -> Text:
    share = 1.0 if spent > of else spent / of if of else 0.0
    full = round(share * BAR)
    colour = "red" if spent > of else "yellow" if share > 0.5 else "green"
    return Text("█" * full, colour).append("░" * (BAR - full), "dim")


def _mode(entry: Mapping[str, Any]) -> str:
    return "" if entry["mode"] == "enforce" else f" ({entry['mode']})"


def _amount(value: float) -> str:
    return f"{value:.3g}"


def _setting(value: float | Sequence[str]) -> str:
    return f"{value:g}" if isinstance(value, int | float) else ", ".join(map(repr, value))


def _effort(receipt: Receipt) -> Text:
    tokens, seconds = receipt.tokens, receipt.seconds
    parts = [f"{tokens['released']} tokens shown of {tokens['generated']} drawn", f"{seconds['total'] or 0:.1f} s"]
    if tokens["reasoning"]:
        parts.insert(1, f"{tokens['reasoning']} of a thought")
    if seconds["first_released"] is not None:
        parts.append(f"first text after {seconds['first_released']:.1f} s")
    own = [f"{name} {_setting(receipt.sampling[name])}" for name in receipt.sampling["from_model"]]
    parts += [f"its makers set {', '.join(own)}"] if own else []
    parts.append(f"seed {receipt.sampling['seed']}")
    if receipt.fallbacks:
        parts.append(f"fallbacks: {', '.join(receipt.fallbacks)}")
    if receipt.fail_open:
        parts.append(f"not judged by: {', '.join(receipt.fail_open)}")
    return Text("  " + " · ".join(parts), "dim")
