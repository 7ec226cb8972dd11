"""`ig-guardrail adopt`: make a user's own model a known one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ig_guardrail.cli import options

if TYPE_CHECKING:
    from ig_guardrail.learn.adopt import AdoptionReport
    from ig_guardrail.learn.own_heads import HeadReport
    from ig_guardrail.statistics.bootstrap import Estimate


def adopt_command(
    model: Annotated[str, typer.Argument(help="A model folder, a .gguf file, a hub name, or 'embedded'.")],
    policy: options.Policy = "default",
    rate: Annotated[
        float, typer.Option("--rate", min=0.005, max=0.5, help="Share of harmless answers that budgets may touch.")
    ] = 0.05,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Labelled rows that heads learn from, .jsonl or .jsonl.gz; may be given again."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher",
            help="A cost model of the policy that labels the model's own answers, so that heads learn from these; "
            "'otherwise' is what serves instead of a head. May be given again; --data then tells what is better.",
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    dtype: options.Dtype = "auto",
    weights: options.WeightsOption = "auto",
) -> None:
    """Let a model answer questions, set a policy's cost models on its answers, and train heads of its own for it.

    It takes some minutes on a small model, tells how far it is, and goes on where it was interrupted. What it finds is
    kept for this model, and used from then on by every policy with the same cost models.
    """
    from ig_guardrail.engine.loading.models import device_of, load_weights, numerics_of
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.learn.adopt import adopt
    from ig_guardrail.learn.own_heads import Lessons
    from ig_guardrail.policy import load_policy
    from ig_guardrail.policy.sources import folder_of

    compiled = load_policy(policy)
    loaded = load_weights(model, device_of(device), numerics_of(dtype, weights))
    lessons = Lessons(tuple(data or ()), tuple(teacher or ())) if data or teacher else None
    found = adopt(loaded, compiled, rate, lessons=lessons, base_dir=folder_of(policy), cache=store_folder() / "states")
    show(found, rate)
    if lessons and not found.heads:
        Console().print("No head was trained: packaged ones fit this model, or the policy asks for none.")


def show(report: AdoptionReport, rate: float) -> None:
    """The report for people."""
    console = Console(highlight=False, soft_wrap=True)
    for head in report.heads:
        console.print(f"{head.head}, for '{head.entry}': {head.why}", markup=False)
        for line in _figures(head):
            console.print(f"  {line}", markup=False)
    grid = Table.grid(padding=(0, 2))
    for scale in report.record["scales"]:
        serves = "" if scale["entry"] == scale["cost"] else f" (served by {scale['entry']})"
        grid.add_row(f"  {scale['cost']}{serves}", f"a score of {scale['from']:.3f} counts as {scale['to']:g}")
    found, fresh = report.found, report.fresh
    console.print(
        f"Of {found.answers} harmless answers the budgets touch {found.touched.value:.1%}; with 95 % confidence at "
        f"most {rate:.1%} of all such answers. Of {fresh.n} others they touch {fresh.value:.1%} "
        f"({fresh.low:.1%} to {fresh.high:.1%})."
    )
    console.print(grid)
    if report.record["not set"]:
        console.print(f"Not set, and left out of these figures: {', '.join(report.record['not set'])}", markup=False)
    template = report.record["template"]
    thoughts = "told from answers" if template["thoughts"] else "none"
    console.print(
        f"chat template: roles {', '.join(template['roles'])}; tools: {template['tools']}; thoughts: {thoughts}",
        markup=False,
    )
    console.print(f"kept in {Path(report.folder)}, with report.json", markup=False)


def _figures(head: HeadReport) -> Iterator[str]:
    """What a head's verdict rests on, a line each."""
    taught = f", labelled by {head.teacher['entry']} from {head.teacher['threshold']:.3f} on" if head.teacher else ""
    counts = " and ".join(f"{count} {label}" for label, count in head.learned.items())
    yield f"learned from {counts or 'no'} answers{taught}"
    if head.agreement is not None:
        yield f"AUC by its teacher's labels, on answers it has not learned from: {_told(head.agreement)}"
    compared = head.comparison
    if compared is not None:
        counts = f"{compared.counts['harmful']} harmful and {compared.counts['safe']} safe answers"
        yield f"AUC on {counts}, by labels of {compared.by}: {_told(compared.head)}; {head.text} {_told(compared.text)}"
        yield f"difference {_told(compared.lead)}"
    if head.folder is not None:
        yield f"in {head.folder}"


def _told(found: Estimate) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
