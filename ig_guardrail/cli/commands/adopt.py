"""`ig-guardrail adopt`: make a user's own model a known one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ig_guardrail.cli import options

if TYPE_CHECKING:
    from ig_guardrail.learn.adopt import AdoptionReport


def adopt_command(
    model: Annotated[str, typer.Argument(help="A model folder, a .gguf file, a hub name, or 'embedded'.")],
    policy: options.Policy = "default",
    rate: Annotated[
        float, typer.Option("--rate", min=0.005, max=0.5, help="Share of harmless answers that budgets may touch.")
    ] = 0.05,
    device: options.DeviceOption = "auto",
    dtype: options.Dtype = "auto",
    weights: options.WeightsOption = "auto",
) -> None:
    """Let a model answer harmless questions, and set a policy's cost models on its answers.

    It takes some minutes on a small model, tells how far it is, and goes on where it was interrupted. What it finds is
    kept for this model, and used from then on by every policy with the same cost models.
    """
    from ig_guardrail.engine.loading.models import device_of, load_weights, numerics_of
    from ig_guardrail.learn.adopt import adopt
    from ig_guardrail.policy import load_policy

    compiled = load_policy(policy)
    loaded = load_weights(model, device_of(device), numerics_of(dtype, weights))
    show(adopt(loaded, compiled, rate), rate)


def show(report: AdoptionReport, rate: float) -> None:
    """The report for people."""
    console = Console(highlight=False)
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
    console.print(f"kept in {Path(report.folder)}", soft_wrap=True)
