"""`ig-guardrail policy schema`."""

from __future__ import annotations

import sys
from importlib import resources


def schema_command() -> None:
    """Print the JSON Schema of policies, for editors: `# yaml-language-server: $schema=policy.schema.json`."""
    sys.stdout.write((resources.files("ig_guardrail.policies") / "schema.json").read_text(encoding="utf-8"))
