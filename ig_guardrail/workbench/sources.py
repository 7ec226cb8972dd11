"""What the budgets of policies rest on: sources, each of which may score whatever the others do.

A source is what a cost model says of hazards that no budget tells apart, or whether a pattern matches of those that no
cost model tells apart. Cost models are the same where kind, options and scale are, whatever they are called and on
whichever side of a comparison they stand: one source stands for both, so that their scores are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ig_guardrail.costs.catalog import declared_by
from ig_guardrail.costs.kinds.base import Declaration
from ig_guardrail.drive.cost_registry import rule_of
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec, Expression
from ig_guardrail.workbench.meaning import Line

Place: TypeAlias = tuple[int, str, str]  # side, budget, cost model as its expression names it
SILENCE = Expression("number", number=0.0)
CLIPPED = 40  # characters of a pattern


@dataclass(frozen=True, slots=True)
class Source:
    """identity: of its cost model. sides: the policies that hear it. whole: whether it scores 0 or 1 and no more."""

    name: str
    identity: str
    sides: frozenset[int]
    whole: bool


@dataclass(frozen=True, slots=True)
class Books:
    """The lines of each policy over common sources."""

    sides: tuple[tuple[Line, ...], ...]
    sources: tuple[Source, ...]


def open_books(policies: Sequence[CompiledPolicy], hazard: str | None, assumed: Declaration) -> Books:
    """The enforced budgets of policies, as far as they limit one hazard; all of them if None.

    assumed: what cost models declare that say it for themselves
    """
    budgets = [(side, one) for side, policy in enumerate(policies) for one in charged(policy, hazard)]
    atoms: dict[tuple[str, str], set[Place]] = {}
    specs: dict[str, tuple[int, CostModelSpec]] = {}
    for side, budget in budgets:
        for model in budget.cost.models():
            spec = judge_of(policies[side], model)
            key = identity(policies[side], model)
            specs.setdefault(key, (side, spec))
            for part in _parts(spec, budget, hazard):
                atoms.setdefault((key, part), set()).add((side, budget.id, model))
    classes: dict[tuple[str, frozenset[Place]], list[str]] = {}
    for (key, part), places in atoms.items():
        classes.setdefault((key, frozenset(places)), []).append(part)
    sources = dict(zip(classes, _sources(classes, specs), strict=True))
    heard = [(places, source.name) for (_, places), source in sources.items()]
    sides = tuple(
        tuple(_line(policies[side], side, one, heard, assumed) for at, one in budgets if at == side)
        for side in range(len(policies))
    )
    return Books(sides, tuple(sources.values()))


def charged(policy: CompiledPolicy, hazard: str | None = None, mode: str = "enforce") -> Iterator[Budget]:
    """The budgets of a mode that limit a hazard, or any; those that count calls and break rules for tools are not."""
    for budget in policy.budgets:
        rules = all(spec_of(policy, name).kind in ("tools", "calls") and not _judged(policy, name) for name in budget.cost.models())
        if budget.mode == mode and not rules and (hazard is None or hazard in budget.hazards):
            yield budget


def spec_of(policy: CompiledPolicy, model: str) -> CostModelSpec:
    return next(spec for spec in policy.cost_models if spec.name == model)


def judge_of(policy: CompiledPolicy, model: str) -> CostModelSpec:
    """The cost model behind a name in an expression: of calls, the one that judges them."""
    spec = spec_of(policy, model)
    return spec_of(policy, str(spec.options["by"])) if _judged(policy, model) else spec


def identity(policy: CompiledPolicy, model: str) -> str:
    """What makes two cost models the same. Each pattern is a source of its own, so it says how they are looked for."""
    spec, asked = judge_of(policy, model), spec_of(policy, model)
    options = {key: value for key, value in spec.options.items() if key != "patterns"}
    calls = asked.options["tool"] if asked.kind == "calls" else None
    return json.dumps([spec.kind, options, spec.scale, calls], sort_keys=True, default=str)


def pattern_text(item: object) -> str:
    """A pattern of an entry, with or without a name."""
    return str(item["pattern"]) if isinstance(item, Mapping) else str(item)


def _judged(policy: CompiledPolicy, model: str) -> bool:
    spec = spec_of(policy, model)
    return spec.kind == "calls" and "by" in spec.options


def _parts(spec: CostModelSpec, budget: Budget, hazard: str | None) -> list[str]:
    """What a budget hears of a cost model: its patterns, or the hazards it scores for the budget."""
    heard = [one for one in spec.hazards if one in budget.hazards and hazard in (None, one)]
    if spec.kind == "calls":  # counts calls: counted as 1 wherever a call is charged
        return []
    return [pattern_text(one) for one in spec.options["patterns"]] if spec.kind == "pattern" and heard else heard


def _sources(
    classes: Mapping[tuple[str, frozenset[Place]], list[str]], specs: Mapping[str, tuple[int, CostModelSpec]]
) -> Iterator[Source]:
    taken: dict[str, str] = {}
    for (key, places), parts in classes.items():
        side, spec = specs[key]
        label = spec.name
        if sum(other == key for other, _ in classes) > 1:
            what = repr(parts[0][:CLIPPED]) if spec.kind == "pattern" else " and ".join(parts)
            more = f" and {len(parts) - 1} more" if spec.kind == "pattern" and len(parts) > 1 else ""
            label = f"{label} ({what}{more})"
        while label in taken:
            label = f"{label} of {'AB'[side]}"
        taken[label] = key
        yield Source(label, key, frozenset(at for at, *_ in places), spec.kind == "pattern")


def _line(
    policy: CompiledPolicy, side: int, budget: Budget, heard: Sequence[tuple[frozenset[Place], str]], assumed: Declaration
) -> Line:
    names = {
        model: tuple(name for places, name in heard if (side, budget.id, model) in places)
        for model in budget.cost.models()
    }
    cost = budget.cost.args[1] if budget.scope == "tool" else budget.cost
    declared = [declared_by(spec_of(policy, name).kind) or assumed for name in budget.cost.models()]
    return Line(rule_of(budget, declared), _over(cost, names), any(one.reading == "event" for one in declared))


def _over(cost: Expression, names: Mapping[str, tuple[str, ...]]) -> Expression:
    """An expression with each cost model as the highest of its sources."""
    if cost.op != "model":
        return replace(cost, args=tuple(_over(arg, names) for arg in cost.args))
    sources = tuple(Expression("model", model=name) for name in names[cost.model])
    return Expression("max", sources) if len(sources) > 1 else next(iter(sources), SILENCE)
