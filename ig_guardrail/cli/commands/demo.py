"""`ig-guardrail demo`: the guarded and the unguarded model side by side on fixed prompts."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from ig_guardrail.cli import options


def demo_command(
    every: Annotated[bool, typer.Option("--all", help="All 24 scenes, and not only the first eight.")] = False,
    model: options.ModelOption = "embedded",
    policy: options.Policy = "default",
    device: options.DeviceOption = "auto",
    dtype: options.Dtype = "auto",
    weights: options.WeightsOption = "auto",
) -> None:
    """Answer fixed prompts with and without the guard, side by side, and say in one sentence what was shown."""
    from ig_guardrail.evaluate.demo.run import run_demo
    from ig_guardrail.spec import GuardrailSpec

    raise typer.Exit(run_demo(Console(), GuardrailSpec(model, policy, device, dtype, weights), every))
