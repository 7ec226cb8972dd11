"""`ig-guardrail cache`: the unpacked models that are kept on this disk."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

app = typer.Typer(
    help="List the unpacked models on this disk, and delete those not used for longest.", no_args_is_help=True
)


@app.callback()
def _cache() -> None:
    """List the unpacked models on this disk, and delete those not used for longest."""


@app.command("list")
def list_command() -> None:
    """Every unpacked model: the file it is from (by its SHA-256), its dtype, size, and when it was last used."""
    from ig_guardrail.engine.loading.store import store_folder
    from ig_guardrail.engine.loading.unpacked import size_of, unpacked_models

    models = unpacked_models()
    for one in models:
        used = datetime.datetime.fromtimestamp(one.used, datetime.UTC).strftime("%Y-%m-%d")
        print(f"{one.file}  {one.dtype:9} {size_of(one.bytes):>9}  used {used}{'  of an older layout' * one.stale}")
    print(f"{len(models)} unpacked models, {size_of(sum(one.bytes for one in models))}, in {store_folder()}")


@app.command("prune")
def prune_command(
    most: Annotated[
        float, typer.Option("--most", min=0, help="GiB that may stay; 0 deletes all of them.", show_default=True)
    ] = 10,
    dry: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, and tell what would be.")] = False,
) -> None:
    """Delete models of older layouts, and those used longest ago, until the rest fits. Use unpacks them again."""
    from ig_guardrail.engine.loading.unpacked import delete, size_of, to_prune, unpacked_models

    models = unpacked_models()
    chosen = to_prune(models, int(most * 2**30))
    for one in chosen:
        if not dry:
            delete(one)
        print(f"{'would delete' if dry else 'deleted'} {one.file}  {one.dtype}  {size_of(one.bytes)}")
    left = sum(one.bytes for one in models) - sum(one.bytes for one in chosen)
    print(f"{len(models) - len(chosen)} unpacked models {'would stay' if dry else 'stay'}, {size_of(left)}")
