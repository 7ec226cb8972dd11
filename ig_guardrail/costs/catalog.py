"""Makes the cost models that a policy names: each as its kind says, or the one that serves instead of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ig_guardrail.costs.adoption import Adoption, Scales
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.calls.finished import finished_calls
from ig_guardrail.costs.calls.rules import tool_rules
from ig_guardrail.costs.kinds.base import BuildContext, CostKind, Declaration, EngineFacts
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.costs.plugins import check_provided
from ig_guardrail.errors import HeadMismatch, MissingExtra, ModelError
from ig_guardrail.types import CostModelSpec

OF_CALLS = ("tools", "calls")  # kinds that a policy's tool rules make: they read calls and no words


@dataclass(frozen=True, slots=True)
class BuiltCost:
    """A cost model under the name of an entry, made of that entry or of one that serves instead.

    spec    the entry that it was made of, under the name of the one that was asked for
    entry   the name of the entry that it was made of, or `adopted:HEAD` for a head that was trained for this model
    passed  why each of the entries before it in the chain of `otherwise` cannot serve here
    """

    spec: CostModelSpec
    model: CostModel
    entry: str
    passed: tuple[ModelError, ...] = ()


def build_costs(
    specs: Sequence[CostModelSpec],
    asked: Sequence[str] | None = None,
    given: Mapping[str, CostModel] | None = None,
    *,
    engine: EngineFacts | None,
    base_dir: Path | None,
    adoption: Adoption | None = None,
) -> dict[str, BuiltCost]:
    """The cost models of entries, by name. What only serves instead of others is made where it is needed.

    asked     the entries to make; all that are not there to serve instead of others if None
    given     what the program hands in for the entries of kind `provided`, and for no others
    adoption  what is kept of the engine's model: its own heads, where packaged ones do not fit, and scales, which
              come before those that entries say
    Raises ModelError as `build_cost_model` does, and for what is given beyond or short of what is asked for.
    """
    check_provided(specs, given or {})
    context = BuildContext(engine, base_dir, given or {})
    by_name = {spec.name: spec for spec in specs}
    substitutes = {spec.otherwise for spec in specs}
    names = [name for name in by_name if name not in substitutes] if asked is None else asked
    wanted = [by_name[name] for name in names]
    kept = adoption or Adoption()
    made = {
        spec.name: _measured(_first_that_fits(spec, by_name, context, kept.heads), kept.scales)
        for spec in wanted
        if spec.kind != "calls"
    }
    return made | {spec.name: built_over_calls(spec, made) for spec in wanted if spec.kind == "calls"}


def built_over_calls(spec: CostModelSpec, made: Mapping[str, BuiltCost]) -> BuiltCost:
    """The cost model of an entry of kind `calls`, which a policy's tool rules make. made: those that score calls."""
    judge = made.get(spec.options.get("by", ""))
    counted = replace(spec, scale=judge.spec.scale if judge else None)
    return BuiltCost(counted, finished_calls(spec, {name: one.model for name, one in made.items()}), spec.name)


def build_cost_model(spec: CostModelSpec, *, engine: EngineFacts | None, base_dir: Path | None) -> CostModel:
    """The cost model of one entry of a policy's `cost_models`, of any kind that needs no other and is not `provided`.

    engine    the engine it will run beside; only latent heads and indexes need one
    base_dir  where relative artifact folders start; the working directory if None
    Raises ModelError for an artifact that is missing or unfit, HeadMismatch for one that does not fit the engine.
    """
    return _built(spec, BuildContext(engine, base_dir))


def _first_that_fits(
    spec: CostModelSpec, by_name: Mapping[str, CostModelSpec], context: BuildContext, heads: Mapping[str, Path]
) -> BuiltCost:
    """The cost model of an entry, or of the first in its chain of `otherwise` that fits the engine and installation.

    The model's own head of a name is looked for before the next in the chain is.
    """
    entry: CostModelSpec = spec
    passed: list[ModelError] = []
    while True:
        serving = replace(entry, name=spec.name)
        try:
            return BuiltCost(serving, _built(serving, context), entry.name, tuple(passed))
        except (HeadMismatch, MissingExtra) as error:
            named = str(serving.options.get("head")) if serving.kind == "latent" else ""
            if named in heads:
                own = replace(serving, options={**serving.options, "head": str(heads[named])})
                return BuiltCost(serving, _built(own, context), f"adopted:{named}", (*passed, error))
            if entry.otherwise is None:
                raise
            passed.append(error)
        entry = by_name[entry.otherwise]


def _measured(built: BuiltCost, scales: Scales) -> BuiltCost:
    """A cost model with the scale that was measured for it on this model, if one was; else with the policy's."""
    if built.model.sha256 not in scales:
        return built
    return replace(built, spec=replace(built.spec, scale=scales[built.model.sha256]))


def _built(spec: CostModelSpec, context: BuildContext) -> CostModel:
    if spec.kind == "tools":  # made of a policy's section of that name
        return tool_rules(spec.name, spec.hazards, spec.options)
    kind = KINDS.get(spec.kind)
    if kind is None:
        raise ModelError(
            f"there is no kind of cost model called '{spec.kind}'",
            where=f"cost_models.{spec.name}",
            fix=f"the kinds are {', '.join(KINDS)}",
        )
    model = kind.build(spec, context)
    _check_declared(spec, kind, model)
    return model


def _check_declared(spec: CostModelSpec, kind: CostKind, model: CostModel) -> None:
    """Raises ModelError where a cost model scores otherwise than its kind says: policies were checked by that."""
    says = kind.declares
    if says is not None and (says.granularity, says.reading) != (model.granularity, model.reading):
        raise ModelError(
            f"a cost model of kind '{kind.name}' scores a {model.reading} at each {model.granularity}",
            where=f"cost_models.{spec.name}",
            why=f"its kind declares a {says.reading} at each {says.granularity}, and policies are checked by that",
            fix=f"declare what it does in the kind: `declares=Declaration({model.granularity!r}, {model.reading!r})`",
        )


def reads_text(spec: CostModelSpec, by_name: Mapping[str, CostModelSpec]) -> bool:
    """Whether an entry, or one in its chain of `otherwise`, reads text alone."""
    return not beyond_text(spec.kind) or (spec.otherwise is not None and reads_text(by_name[spec.otherwise], by_name))


def declared_by(kind: str) -> Declaration | None:
    """What cost models of a kind declare of their scores; None where each says it for itself."""
    made_of_rules = {"tools": Declaration(), "calls": Declaration("token", "event")}
    return made_of_rules[kind] if kind in made_of_rules else KINDS[kind].declares


def beyond_text(kind: str) -> str:
    """What a kind reads beyond text, in words; "" if it reads text alone."""
    return KINDS[kind].beyond if kind in KINDS else ""
