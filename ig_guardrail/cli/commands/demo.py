"""`ig-guardrail demo`: the guarded and the unguarded model side by side on fixed prompts."""

from __future__ import annotations

import typer
from rich.console import Console


def demo_command() -> None:
    """Answer twelve fixed prompts with and without the guard, offline, and count every outcome."""
    from ig_guardrail.evaluate.demo.run import run_demo

    raise typer.Exit(run_demo(Console()))
