"""What of a policy can be checked without a language model: input turns, and tool calls with their arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.assembly import folder_of
from ig_guardrail.budget import Account, Rule, charge
from ig_guardrail.calls import written
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.costs.combine import evaluate
from ig_guardrail.errors import CostFailure
from ig_guardrail.policy import load_policy
from ig_guardrail.types import CompiledPolicy, Piece, Prompt

TEXT_KINDS = ("lexical", "pattern", "tools", "calls")


@dataclass(frozen=True, slots=True)
class TextChecks:
    """A policy and those of its cost models that read text."""

    policy: CompiledPolicy
    models: Mapping[str, CostModel]

    def prompt_score(self, text: str) -> float:
        """The prompt rule's score of one input turn; 0 without a rule. Raises CostFailure if it cannot be told."""
        rule = self.policy.prompt
        if rule is None or not text.strip():
            return 0.0
        return evaluate(rule.cost, {name: self._score(name, text) for name in rule.cost.models()})

    def refuses_prompt(self, text: str) -> bool:
        """Whether the policy refuses an input turn outright."""
        rule = self.policy.prompt
        return rule is not None and rule.on_exceed == "refuse" and self.prompt_score(text) > rule.threshold

    def forbidden_by(self, name: str, arguments: Mapping[str, Any]) -> str | None:
        """The budget that a call with these arguments would overdraw by itself, among those that read text alone."""
        call, words = written(name, arguments), json.dumps(arguments, ensure_ascii=False, default=str)
        for budget in self.policy.budgets:
            names = budget.cost.models()
            if budget.mode != "enforce" or not all(model in self.models for model in names):
                continue
            scores = {model: max(self._score(model, call), self._score(model, words)) for model in names}
            _, cost = charge(Rule(budget, "final", "level"), Account(), 1, evaluate(budget.cost, scores))
            if cost > budget.budget:
                return budget.id
        return None

    def _score(self, name: str, text: str) -> float:
        model = self.models[name]
        try:
            ((_, scores),) = model.advance([(model.start(Prompt((), ())), Piece(text, ended=True))])
        except CostFailure:
            raise
        except Exception as error:
            raise CostFailure(f"cost model '{name}' failed: {error}", where="text check") from error
        return max(scores)


def text_checks(policy: str | Path | CompiledPolicy) -> TextChecks:
    """The checks of a policy (file, name or value). Raises PolicyError, ModelError."""
    compiled = load_policy(policy)
    models = {
        spec.name: build_cost_model(spec, engine=None, base_dir=folder_of(policy))
        for spec in compiled.cost_models
        if spec.kind in TEXT_KINDS
    }
    return TextChecks(compiled, models)
