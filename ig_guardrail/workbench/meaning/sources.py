"""What the budgets of policies rest on: sources, each of which may score whatever the others do.

A source is a score of a cost model, one for all its hazards or for those that no budget tells apart; or whether any of
some patterns matches that no cost model tells apart. Cost models are the same where kind, options and scale are,
whatever they are called and on whichever side of a comparison they stand: one source stands for both, so that their
scores are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from ig_guardrail.costs.catalog import OF_CALLS, declared_by
from ig_guardrail.costs.kinds.base import Declaration
from ig_guardrail.drive.scoring.cost_registry import rule_of
from ig_guardrail.policy.ranges import counting
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec, Expression
from ig_guardrail.workbench.meaning.budgets import BudgetLine

SourceKey: TypeAlias = tuple[int, str, str]  # side, budget, cost model as its expression names it
SILENCE = Expression("number", number=0.0)
ONE_SCORE = "*"
CLIPPED = 40  # characters of a pattern


@dataclass(frozen=True, slots=True)
class Source:
    """identity: of its cost model. sides: the policies that hear it.

    whole  whether it scores 0 or 1 and no more
    event  whether it scores pieces, and not the answer so far
    """

    name: str
    identity: str
    sides: frozenset[int]
    whole: bool
    event: bool


@dataclass(frozen=True, slots=True)
class Books:
    """The lines of each policy over common sources."""

    sides: tuple[tuple[BudgetLine, ...], ...]
    sources: tuple[Source, ...]


def open_books(policies: Sequence[CompiledPolicy], hazard: str | None, assumed: Declaration) -> Books:
    """The enforced budgets of policies over what scores one hazard; all of them if None.

    assumed: what cost models declare that say it for themselves
    """
    budgets = [
        (side, one)
        for side, policy in enumerate(policies)
        for one in charged(policy)
        if any(_parts(policy, name, one, hazard) for name in one.cost.models())
    ]
    atoms: dict[tuple[str, str], set[SourceKey]] = {}
    specs: dict[str, tuple[int, str, CostModelSpec]] = {}
    for side, budget in budgets:
        for model in budget.cost.models():
            key = identity(policies[side], model)
            specs.setdefault(key, (side, model, judge_of(policies[side], model)))
            for part in _parts(policies[side], model, budget, hazard):
                atoms.setdefault((key, part), set()).add((side, budget.id, model))
    classes: dict[tuple[str, frozenset[SourceKey]], list[str]] = {}
    for (key, part), places in atoms.items():
        classes.setdefault((key, frozenset(places)), []).append(part)
    sources = dict(zip(classes, _sources(classes, specs, assumed), strict=True))
    heard = [(places, source.name) for (_, places), source in sources.items()]
    sides = tuple(
        tuple(_line(policies[side], side, one, heard, assumed) for at, one in budgets if at == side)
        for side in range(len(policies))
    )
    return Books(sides, tuple(sources.values()))


def charged(policy: CompiledPolicy, mode: str = "enforce") -> Iterator[Budget]:
    """The budgets of a mode over what cost models score; those that count calls, or break rules for tools, are not."""
    for budget in policy.budgets:
        scored = any(judge_of(policy, name).kind not in OF_CALLS for name in budget.cost.models())
        if budget.mode == mode and scored:
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


def _parts(policy: CompiledPolicy, model: str, budget: Budget, hazard: str | None) -> list[str]:
    """What a budget hears of a cost model: its patterns, its one score, or its scores of the budget's hazards."""
    spec = judge_of(policy, model)
    heard = [one for one in spec.hazards if one in budget.hazards]
    if not heard or spec.kind in OF_CALLS or hazard not in (None, *spec.hazards):
        return []
    if spec.kind == "pattern":
        return [pattern_text(one) for one in spec.options["patterns"]]
    declared = declared_by(spec.kind)
    return [ONE_SCORE] if declared and declared.alike else [one for one in heard if hazard in (None, one)]


def _sources(
    classes: Mapping[tuple[str, frozenset[SourceKey]], list[str]],
    specs: Mapping[str, tuple[int, str, CostModelSpec]],
    assumed: Declaration,
) -> Iterator[Source]:
    taken: dict[str, str] = {}
    for (key, places), parts in classes.items():
        side, label, spec = specs[key]
        if sum(other == key for other, _ in classes) > 1:
            what = f"'{parts[0][:CLIPPED]}'" if spec.kind == "pattern" else " and ".join(parts)
            more = f" and {len(parts) - 1} more" if spec.kind == "pattern" and len(parts) > 1 else ""
            label = f"{label} ({what}{more})"
        while label in taken:
            label = f"{label} of {'AB'[side]}"
        taken[label] = key
        event = (declared_by(spec.kind) or assumed).reading == "event"
        yield Source(label, key, frozenset(at for at, *_ in places), spec.kind == "pattern", event)


def _line(
    policy: CompiledPolicy,
    side: int,
    budget: Budget,
    heard: Sequence[tuple[frozenset[SourceKey], str]],
    assumed: Declaration,
) -> BudgetLine:
    names = {
        model: tuple(name for places, name in heard if (side, budget.id, model) in places)
        for model in budget.cost.models()
    }
    cost = budget.cost.args[1] if budget.scope == "tool" else budget.cost
    scales = {model: judge_of(policy, model).scale for model in names}
    tops = {model: counting(*scale).high for model, scale in scales.items() if scale is not None}
    declared = [declared_by(spec_of(policy, name).kind) or assumed for name in budget.cost.models()]
    return BudgetLine(
        rule_of(budget, declared), _over(cost, names, tops), any(one.reading == "event" for one in declared)
    )


def _over(cost: Expression, names: Mapping[str, tuple[str, ...]], tops: Mapping[str, Fraction]) -> Expression:
    """An expression with each cost model as the highest of its sources, and no higher than its scale lets it count."""
    if cost.op != "model":
        return replace(cost, args=tuple(_over(arg, names, tops) for arg in cost.args))
    sources = tuple(Expression("model", model=name) for name in names[cost.model])
    heard = Expression("max", sources) if len(sources) > 1 else next(iter(sources), SILENCE)
    top = tops.get(cost.model, Fraction(1))
    return heard if top == 1 else Expression("min", (heard, Expression("number", number=float(top))))
