"""`ig-guardrail policy show`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def show_command(
    name: Annotated[str, typer.Argument(help="A packaged name, or a file.")],
    whole: Annotated[
        bool, typer.Option("--flat", help="With all that it inherits, as one policy that extends nothing.")
    ] = False,
) -> None:
    """Print a policy as it is written, comments and all: the start of a policy of your own."""
    from ig_guardrail.policy.check import open_policy
    from ig_guardrail.policy.inheritance.origins import flat

    found, _ = open_policy(name)  # one that cannot be used, or is not there, is not worth copying
    sys.stdout.write(flat(found.tree) if whole and found.tree is not None else found.text)
