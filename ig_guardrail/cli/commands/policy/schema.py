"""`ig-guardrail policy schema`."""

from __future__ import annotations

import sys
from importlib import resources


def schema_command() -> None:
    """Print the JSON Schema of policies, for editors. Saved as schema.json beside a policy, whose first line is then
    `# yaml-language-server: $schema=schema.json`, it gives completion, explanations and faults as one types."""
    from ig_guardrail.policy.sources import SCHEMA

    sys.stdout.write((resources.files("ig_guardrail.policies") / SCHEMA).read_text(encoding="utf-8"))
