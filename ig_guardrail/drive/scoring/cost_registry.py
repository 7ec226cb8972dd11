"""The cost models of one policy, bound and running: what a guardrail shares between its requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ig_guardrail.budget import BudgetRule
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.calls.decoded import read_decoded
from ig_guardrail.costs.calls.rules import ToolRules
from ig_guardrail.costs.catalog import OF_CALLS, BuiltCost, beyond_text
from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.workers import Worker
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec, Granularity, PromptRule, ScoreKind


@dataclass(frozen=True, slots=True)
class BoundCost:
    """One cost model, what the policy says of it, and the thread it runs on. entry: what it was made of."""

    spec: CostModelSpec
    model: CostModel
    worker: Worker
    entry: str = ""

    @property
    def reader(self) -> CostModel:
        """The cost model as it reads answers: one that reads text is led to read JSON and calls decoded too."""
        beyond = self.model.layers or beyond_text(self.spec.kind) or self.spec.kind in OF_CALLS
        return self.model if beyond else read_decoded(self.model)


@dataclass(frozen=True, slots=True)
class CostRegistry:
    """The cost models of a policy by name, and the rules that their declarations make of the policy's budgets."""

    by_name: Mapping[str, BoundCost]
    rules: tuple[BudgetRule, ...]
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def built(self) -> Mapping[str, BuiltCost]:
        """The cost models as they were made, for another policy that has the same ones."""
        return {name: BuiltCost(one.spec, one.model, one.entry or name) for name, one in self.by_name.items()}

    @property
    def substitutes(self) -> Mapping[str, str]:
        """What serves instead of an entry, by the names of those: another one, or `adopted:HEAD`."""
        return {name: one.entry for name, one in self.by_name.items() if one.entry not in ("", name)}

    def behind(self, rules: Iterable[BudgetRule]) -> tuple[BoundCost, ...]:
        """The cost models that rules rest on, in order, each once."""
        names = dict.fromkeys(name for rule in rules for name in rule.budget.cost.models())
        return tuple(self.by_name[name] for name in names)

    def enforcing_all(self) -> CostRegistry:
        """The same, with the budgets in shadow mode as if they were enforced."""
        rules = (replace(rule, budget=replace(rule.budget, mode="enforce")) for rule in self.rules)
        return replace(self, rules=tuple(rules))

    @property
    def enforced(self) -> tuple[BudgetRule, ...]:
        """Rules whose budgets hold text back."""
        return tuple(rule for rule in self.rules if rule.enforced)

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers that any budget's cost model reads."""
        return tuple(sorted({layer for one in self.behind(self.rules) for layer in one.model.layers}))

    @property
    def early_scored(self) -> tuple[BudgetRule, ...]:
        """Enforced rules that can be read anywhere at no cost, since their cost models read hidden states."""
        return tuple(rule for rule in self.enforced if all(one.model.layers for one in self.behind((rule,))))

    @property
    def tool_rules(self) -> ToolRules | None:
        """What the policy says of tools, if it says something."""
        return next((cost.model for cost in self.by_name.values() if isinstance(cost.model, ToolRules)), None)

    @property
    def longest_match(self) -> int:
        """Characters an enforced event may reach back over: the longest match, and one that decides about its end."""
        longest = max((one.model.longest_match for one in self.behind(self.enforced)), default=0)
        return longest + 1 if longest else 0


def bind_costs(policy: CompiledPolicy, models: Mapping[str, CostModel | BuiltCost]) -> CostRegistry:
    """Bind a policy's budgets to its cost models. Raises ModelError if one cannot do what the prompt rule asks."""
    specs = {spec.name: spec for spec in policy.cost_models}
    built = {
        name: one if isinstance(one, BuiltCost) else BuiltCost(specs[name], one, name) for name, one in models.items()
    }
    check_prompt(policy.prompt, {name: one.model for name, one in built.items()})
    by_name = {name: bind_cost(one) for name, one in built.items()}
    rules = tuple(rule_of(budget, [built[name].model for name in budget.cost.models()]) for budget in policy.budgets)
    return CostRegistry(by_name, rules, {name: counted_sha256(one) for name, one in built.items()})


def bind_cost(built: BuiltCost) -> BoundCost:
    """Bind a cost model to a thread of its own."""
    return BoundCost(built.spec, built.model, Worker(built.spec.name), built.entry)


def counted_sha256(built: BuiltCost) -> str:
    """Of a cost model, and of what its scores count as."""
    scale = built.spec.scale
    return built.model.sha256 if scale is None else options_sha256("scale", model=built.model.sha256, scale=scale)


def check_prompt(rule: PromptRule | None, models: Mapping[str, CostModel]) -> None:
    """Raises ModelError if a cost model of the prompt rule reads more than text."""
    for name in rule.cost.models() if rule is not None else ():
        if models[name].layers:
            raise ModelError(
                f"the prompt check cannot use the cost model '{name}'",
                where=f"cost_models.{name}",
                why="it reads hidden states of an answer, and the prompt is checked before there is one",
                fix="name one that reads text in `prompt.cost`",
            )


class Declared(Protocol):
    """What a cost model declares of its scores."""

    @property
    def granularity(self) -> Granularity: ...
    @property
    def reading(self) -> ScoreKind: ...


def rule_of(budget: Budget, models: Sequence[Declared]) -> BudgetRule:
    """A budget is charged as its finest cost model asks, but only at the end if one of them can only judge wholes.

    It is an event only if all its cost models are: a level among them stays up, and must not be charged repeatedly.
    A budget for tools is one by its scope: it is charged where calls end. Raises ModelError if it could not be.
    """
    asked = {model.granularity for model in models}
    granularity: Granularity = "final" if "final" in asked else "token" if "token" in asked else "block"
    by_call = budget.scope == "tool"
    reading: ScoreKind = "event" if by_call or all(model.reading == "event" for model in models) else "level"
    if by_call and granularity == "final":
        raise ModelError(
            f"budget '{budget.id}' is charged by the call, and one of its cost models judges whole answers only",
            where=f"budgets.{budget.id}",
            why="several calls of one answer would be charged as one",
            fix="use another cost model, or another scope",
        )
    return BudgetRule(budget, granularity, reading)
