"""`ig-guardrail policy schema`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer


class Of(StrEnum):
    """The files that have a schema."""

    POLICY = "policy"
    CASES = "cases"
    WAIVERS = "waivers"


def schema_command(
    of: Annotated[Of, typer.Option("--of", help="Of policies, of their cases, or of waivers.")] = Of.POLICY,
) -> None:
    """Print the JSON Schema of policies, for editors. Saved as schema.json beside a policy, whose first line is then
    `# yaml-language-server: $schema=schema.json`, it gives completion, explanations and faults as one types."""
    from ig_guardrail.policy.reference.json_schema import json_schema
    from ig_guardrail.workbench.schemas import cases_schema, waivers_schema

    write = {Of.POLICY: json_schema, Of.CASES: cases_schema, Of.WAIVERS: waivers_schema}[of]
    sys.stdout.write(write())
