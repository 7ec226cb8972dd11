"""`ig-guardrail policy show`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def show_command(name: Annotated[str, typer.Argument(help="A packaged name, or a file.")]) -> None:
    """Print a policy as it is written, comments and all: the start of a policy of your own."""
    from ig_guardrail.policy import load_policy
    from ig_guardrail.policy.sources import PolicySource, fetch

    load_policy(name)  # one that cannot be used, or is not there, is not worth copying: raises PolicyError
    found = fetch(name)
    if isinstance(found, PolicySource):
        sys.stdout.write(found.content.decode())
