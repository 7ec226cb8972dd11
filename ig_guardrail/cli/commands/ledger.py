"""`ig-guardrail ledger`: how long a ledger knows what was spent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.errors import RequestError

app = typer.Typer(help="Ledgers of shared budgets.", no_args_is_help=True)


@app.callback()
def _ledger() -> None:
    """Ledgers of shared budgets."""


@app.command("prune")
def prune_command(
    place: Annotated[str, typer.Argument(metavar="LEDGER", help="What `--ledger` named: a file, or postgresql://...")],
    older_than: options.OlderThan = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", min=0, help="How many accounts are kept; those that have spent nothing are forgotten first."
        ),
    ] = None,
) -> None:
    """Forget accounts that were silent for long, or that are too many. Their budgets are whole again.

    A program that uses the ledger may run meanwhile.
    """
    from ig_guardrail.database import is_address
    from ig_guardrail.ledger import kept_at

    days = options.read_days(older_than, keep, "--keep")
    if not is_address(place) and not Path(place).is_file():
        raise RequestError("there is no such ledger", where=place, fix="name the file that `--ledger` was given")
    ledger = kept_at(place)
    gone = 0 if days is None else ledger.forget(days)
    gone += 0 if keep is None else ledger.keep(keep)
    print(f"{gone} account{'s' * (gone != 1)} forgotten")
