"""What answers are charged on: a policy's cost models beside a model, or, without one, those that only read words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ig_guardrail.costs.catalog import OF_CALLS, build_costs
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.drive.charging import charge_text
from ig_guardrail.drive.prompt_check import PromptCheck
from ig_guardrail.drive.runners import finish
from ig_guardrail.drive.scoring.cost_registry import CostRegistry, bind_costs
from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.external.engine import StreamedEngine
from ig_guardrail.errors import EngineError
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.sources import folder_of
from ig_guardrail.spec import GuardrailSpec
from ig_guardrail.types import AssistantMessage, Charge, CompiledPolicy, CostModelSpec, Node
from ig_guardrail.workbench.traffic.texts import TextRow

WORDS = "words"  # what stands in for a model's tokens


@dataclass(frozen=True, slots=True)
class Bench:
    """An engine that reads answers, and the cost models that score them.

    policy    the policy as it is written
    left_out  by budget, or `prompt`, why it is not scored here
    by_words  whether words stand in for tokens, so that charge points lie elsewhere than beside a model
    """

    engine: Engine
    costs: CostRegistry
    policy: CompiledPolicy
    left_out: Mapping[str, str] = field(default_factory=dict)
    by_words: bool = False

    def charge(self, row: TextRow) -> ChargedText:
        """The whole account of an answer. Raises CostFailure, RequestError where it does not fit the context."""
        rule, said = None if "prompt" in self.left_out else self.policy.prompt, AssistantMessage(row.text, row.calls)
        charged = finish(charge_text(self.engine, self.costs, rule, row.prompt, said))
        return ChargedText(row, charged.node, charged.charges, charged.prompt)

    @property
    def notes(self) -> list[str]:
        """What a reader of scores must know of how they were made."""
        notes = [f"not scored: {who}: {why}" for who, why in self.left_out.items()]
        served = self.costs.substitutes.items()
        notes += [f"`{entry}` serves as `{name}`, and thresholds were not set on it" for name, entry in served]
        if self.by_words:
            notes.append("without a model, charge points fall by words; beside one (`--model`) they fall by its tokens")
        return notes


@dataclass(frozen=True, slots=True)
class ChargedText:
    """An answer, how it was read, all its charges in order, and what its prompt scored."""

    row: TextRow
    node: Node
    charges: tuple[Charge, ...]
    prompt: PromptCheck


def open_bench(policy: str, model: str | None, device: str = "auto") -> Bench:
    """A bench beside a model, as a guardrail has it; by words alone where `model` is None, without torch.

    Raises PolicyError, ModelError, HeadMismatch.
    """
    if model is None:
        return bench_of_words(load_policy(policy), folder_of(policy))
    from ig_guardrail.assembly import open_guardrail

    opened = open_guardrail(GuardrailSpec(model, policy, device))
    return Bench(opened.engine, opened.costs, opened.policy)


def bench_of_words(policy: CompiledPolicy, folder: Path | None) -> Bench:
    """A bench with every budget whose cost models, or those that serve instead of them, read words by themselves."""
    by_name = {spec.name: spec for spec in policy.cost_models}
    serving = {name: _first_of_words(by_name[name], by_name) for name in policy.asked}
    missing = {
        name: f"`{name}` (kind `{by_name[name].kind}`) does not read words by itself"
        for name, one in serving.items()
        if one is None
    }
    asked_by = {budget.id: budget.cost.models() for budget in policy.budgets}
    asked_by |= {"prompt": policy.prompt.cost.models()} if policy.prompt else {}
    left_out = {
        who: "; ".join(missing[name] for name in names if name in missing)
        for who, names in asked_by.items()
        if any(name in missing for name in names)
    }
    kept = replace(
        policy,
        budgets=tuple(budget for budget in policy.budgets if budget.id not in left_out),
        prompt=None if "prompt" in left_out else policy.prompt,
    )
    specs = [replace(one, name=name, otherwise=None) for name, one in serving.items() if one is not None]
    built = {
        name: replace(one, entry=serving[name].name)  # type: ignore[union-attr]
        for name, one in build_costs(specs, engine=None, base_dir=folder).items()
    }
    return Bench(text_engine(WORDS), bind_costs(kept, built), policy, left_out, by_words=True)


def _first_of_words(spec: CostModelSpec, by_name: Mapping[str, CostModelSpec]) -> CostModelSpec | None:
    """The first entry in a chain of `otherwise` that reads words without a model; None where there is none."""
    if spec.kind == "calls":
        judge = by_name.get(spec.options.get("by", ""))
        return spec if judge is None or _first_of_words(judge, by_name) is not None else None
    if spec.kind in OF_CALLS or spec.kind == "python" or KINDS[spec.kind].quick:
        return spec
    return None if spec.otherwise is None else _first_of_words(by_name[spec.otherwise], by_name)


def text_engine(name: str) -> StreamedEngine:
    """An engine that reads given texts, and has no model to decode with."""

    def refuse() -> Any:
        raise EngineError("nothing is decoded here", where="workbench", fix="name a model")

    return StreamedEngine(name, refuse)
