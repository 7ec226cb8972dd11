"""Policies for tests of the workbench, as mappings: JSON is YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.types import CompiledPolicy

MODELS = {
    "a": {"kind": "lexical", "model": "words", "hazards": ["hte", "ncr"]},
    "b": {"kind": "lexical", "model": "screen", "hazards": ["ncr"]},
    "p": {"kind": "pattern", "patterns": ["foo"], "longest_match": 8, "hazards": ["hte"]},
}


def policy_text(budgets: Sequence[Mapping[str, Any]], models: Mapping[str, Any] = MODELS, **sections: Any) -> str:
    """A policy with these budgets; each has an id, hazards `all`, cost `a` and threshold 0.5 unless it says others."""
    usual = {"hazards": "all", "cost": "a", "threshold": 0.5}
    return json.dumps(
        {
            "apiVersion": "ig-guardrail/v1",
            "kind": "SafetyPolicy",
            "metadata": {"name": "tried", "version": "1.0.0"},
            "cost_models": models,
            "budgets": [{"id": f"b{place}", **usual, **one} for place, one in enumerate(budgets)],
            "messages": {"refusal": {"en": "No."}, "closing": {"en": "Enough."}},
            **sections,
        }
    )


def policy(budgets: Sequence[Mapping[str, Any]], models: Mapping[str, Any] = MODELS, **sections: Any) -> CompiledPolicy:
    """The same, compiled."""
    made, faults = compile_text(policy_text(budgets, models, **sections), "tried.yaml")
    assert made is not None, faults
    return made
