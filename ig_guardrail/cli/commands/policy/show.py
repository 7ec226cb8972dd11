"""`ig-guardrail policy show`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from ig_guardrail.cli.commands.policy.formats import Format, FormatOption


def show_command(
    name: Annotated[str, typer.Argument(help="A packaged name, or a file.")],
    whole: Annotated[
        bool, typer.Option("--flat", help="With all that it inherits, as one policy that extends nothing.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Print a policy as it is written, comments and all: the start of a policy of your own.

    With --format json, what it comes to: defaults written out, with all that it inherits, and its hash.
    """
    from ig_guardrail.policy.check import open_policy
    from ig_guardrail.policy.inheritance.origins import flat

    found, policy = open_policy(name)  # one that cannot be used, or is not there, is not worth copying
    if form is Format.JSON:
        print(json.dumps({"sha256": policy.sha256, "policy": json.loads(policy.normal_form)}, ensure_ascii=False))
        return
    sys.stdout.write(flat(found.tree) if whole and found.tree is not None else found.text)
