"""`ig-guardrail policy score`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.commands.policy.formats import Format, FormatOption
from ig_guardrail.errors import RequestError

if TYPE_CHECKING:
    from ig_guardrail.workbench.traffic.bench import Bench
    from ig_guardrail.workbench.traffic.score import ScoredText
    from ig_guardrail.workbench.traffic.texts import TextRow

LONGEST = 60  # characters of an answer that a heading shows


def score_command(
    policy: Annotated[str, typer.Argument(help="A policy file, or a packaged name.")],
    text: Annotated[str | None, typer.Option("--text", help="An answer.")] = None,
    file: options.TextsOption = None,
    call: Annotated[
        str | None, typer.Option("--call", help='A call behind the text: {"refund": {"amount": 500}}.')
    ] = None,
    prompt: Annotated[str, typer.Option("--prompt", help="What the text answers; scored by the prompt check.")] = "",
    model: options.BesideOption = None,
    device: options.DeviceOption = "auto",
    form: FormatOption = Format.TEXT,
) -> None:
    """Tell what answers score at every charge point, without decoding, and what the scores rest on.

    Exit code 0, whatever they score; 2: an error.
    """
    from ig_guardrail.workbench.traffic.bench import open_bench
    from ig_guardrail.workbench.traffic.score import as_object, score_texts

    rows = _rows(text, file, call, prompt)
    bench = open_bench(policy, model, device)
    for scored in score_texts(bench, rows):
        if form is Format.JSON:
            print(json.dumps(as_object(scored, bench), ensure_ascii=False, allow_nan=False))
        else:
            print("\n".join(_lines(scored, bench)))
    for note in bench.notes if form is Format.TEXT else ():
        print(f"note: {note}")


def _rows(text: str | None, file: Path | None, call: str | None, prompt: str) -> list[TextRow]:
    from ig_guardrail.workbench.traffic.texts import TextRow, read_call, read_texts

    if (text is None and call is None) == (file is None):
        raise RequestError(
            "there is nothing to score, or too much",
            where="policy score",
            fix="give either `--text` or `--call` or both, or `--file`",
        )
    if file is not None:
        return list(read_texts(file))
    return [TextRow(text or "", "the text", prompt, read_call(call) if call is not None else ())]


def _lines(scored: ScoredText, bench: Bench) -> list[str]:
    from ig_guardrail.workbench.traffic.score import fired_patterns

    row, unit = scored.charged.row, "words" if bench.by_words else "tokens"
    shown = " ".join(row.text.split())
    shown = shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
    denied = scored.denied
    within = "within budget" if not bench.left_out else "within the budgets that were scored"
    verdict = f"denied by '{denied.budget}' at {denied.position}" if denied else within
    lines = [f"{row.place}: {verdict}, {scored.charged.node.position} {unit}: {shown!r}"]
    check = scored.charged.prompt
    if check.raw:
        lines.append(f"  prompt  score {check.score:.3f}  {_said(check.raw)}  action: {check.action}")
    specs = {name: cost.spec for name, cost in bench.costs.by_name.items()}
    thresholds = {budget.id: budget.threshold for budget in bench.policy.budgets}
    for line in scored.charged.charges:
        at = f"{line.position}{' end' if line.ended else ''}"
        fired = "  ".join(f"{name}: {', '.join(found)}" for name, found in fired_patterns(line, specs).items())
        lines.append(
            f"  {line.budget:16} at {at:8} score {line.score:.3f} of {thresholds[line.budget]:g}"
            f"  cost {line.cost:.3f}  left {line.z_after:.3f}  {_said(line.raw)}{'  fired ' + fired if fired else ''}"
        )
    for name, words in scored.weights.items():
        lines.append(f"  {name} rests on  " + ", ".join(f"{term!r} {weight:+.2f}" for term, weight in words.items()))
    for call, broken in zip(row.calls, scored.rules, strict=True):
        verdict = f"breaks {', '.join(f'tools.{rule}' for rule in broken)}" if broken else "keeps the rules for tools"
        lines.append(f"  call {call.name}: {verdict}" if bench.costs.tool_rules else f"  call {call.name}: no rules")
    return lines


def _said(raw: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {score:.3f}" for name, score in raw.items())
