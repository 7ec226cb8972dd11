"""A policy of patterns, words, tool rules and a head that is not at hand, and a way to run cases of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ig_guardrail.workbench.cases.report import CaseReport, report_on
from ig_guardrail.workbench.cases.suite import run_files

SHOP = r"""
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: shop, version: 1.0.0}
cost_models:
  cards: {kind: pattern, hazards: [prv], patterns: ['\d{4}-\d{4}', {name: code, pattern: 'PIN'}], longest_match: 12}
  tone: {kind: latent, head: toxic-tone, hazards: [hte]}
  screen: {kind: lexical, model: screen, hazards: [ncr]}
budgets:
  - {id: no-cards, hazards: [prv], cost: cards, threshold: 0.5, budget: 0}
  - {id: tone, hazards: [hte], cost: tone, threshold: 0.5, budget: 0.2, every: 4}
  - {id: talk, hazards: [hte], cost: tone, threshold: 0.3, budget: 1, scope: conversation}
prompt: {cost: screen, threshold: 0.9, on_exceed: refuse}
tools:
  allow: [refund, 'look_*']
  deny: [look_away]
  arguments: [{tool: refund, argument: amount, least: 0, most: 100}]
  limits: [{id: refunds, tool: refund, calls: 1}]
messages:
  refusal: {en: Not here., de: Hier nicht.}
  closing: {en: Let me stop here.}
"""

Try = Callable[[str], CaseReport]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The policy's file; cases of it belong beside it, as `shop_test.yaml`."""
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP, encoding="utf-8")
    return file


@pytest.fixture
def attempt(shop: Path) -> Try:
    """Runs cases, a YAML list, of the policy."""

    def run(cases: str) -> CaseReport:
        file = shop.with_name("shop_test.yaml")
        file.write_text(f"cases:\n{cases}", encoding="utf-8")
        return report_on(run_files([str(file)]), None, cover=True)

    return run
