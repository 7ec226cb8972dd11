"""Policies: YAML in the language `ig-guardrail/v1`, checked to the letter and compiled to one normal form.

Knows nothing of engines, models or searches, and runs without them.
"""

from __future__ import annotations

from ig_guardrail.policy.check import check_files, load_policy
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic
from ig_guardrail.policy.diagnostics.report import FileReport, Report
from ig_guardrail.policy.diagnostics.rules import explain
from ig_guardrail.policy.sources import packaged_names

__all__ = [
    "Diagnostic",
    "FileReport",
    "Report",
    "check_files",
    "compile_text",
    "explain",
    "load_policy",
    "packaged_names",
]
