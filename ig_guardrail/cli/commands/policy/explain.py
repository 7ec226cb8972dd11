"""`ig-guardrail policy explain`."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from ig_guardrail.cli.commands.policy.formats import Format, FormatOption


def explain_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A policy file, a packaged name, a receipt as JSON (`-` reads one), or a code such as P109."
        ),
    ],
    form: FormatOption = Format.TEXT,
) -> None:
    """Say in plain words what a policy means, why an answer ended as its receipt says, or what a fault's code tells.

    No model is needed.
    """
    from ig_guardrail.cli.writers import printable
    from ig_guardrail.policy.diagnostics.rules import rule
    from ig_guardrail.workbench.meaning import explaining, receipts
    from ig_guardrail.workbench.meaning.receipt_files import read_receipts

    if re.fullmatch("[Pp][0-9]{3}", source):
        page = rule(source)
        print(json.dumps(asdict(page), indent=2, ensure_ascii=False) if form is Format.JSON else page.page().rstrip())
        return
    found = [receipts.explain_receipt(one) for one in read_receipts(source)]
    if found:
        values = [receipts.as_dict(one) for one in found]
        text = "\n\n".join(map(receipts.as_text, found))
    else:
        from ig_guardrail.policy.check import open_policy
        from ig_guardrail.policy.inheritance.origins import origins

        read, policy = open_policy(source)
        inherited = origins(read.tree, read.file) if read.tree is not None and read.parents else ()
        meaning = explaining.explain_policy(policy, inherited)
        values, text = [explaining.as_dict(meaning)], explaining.as_text(meaning)
    whole = values if len(values) > 1 else values[0]
    print(json.dumps(whole, indent=2, ensure_ascii=False) if form is Format.JSON else printable(text, sys.stdout))
