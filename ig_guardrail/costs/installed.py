"""Cost models of installed distributions, found by the names that these declare.

A policy can name only what an installed distribution offers in the group `GROUP`, so no policy can have other code run.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from ig_guardrail.costs.foreign import ForeignCost, take_in
from ig_guardrail.errors import ModelError, brief
from ig_guardrail.types import CostModelSpec

GROUP = "ig_guardrail.cost_models"


def installed_cost_model(spec: CostModelSpec) -> ForeignCost:
    """What the entry point of a `python` entry makes of (name, hazards, options).

    Raises ModelError if nothing installed, or more than one distribution, declares it, or it makes no cost model.
    """
    entry = _entry_point(spec)
    try:
        model = entry.load()(spec.name, spec.hazards, dict(spec.options.get("options") or {}))
    except Exception as error:
        raise ModelError(
            f"the entry point '{entry.name}' made no cost model",
            where=f"cost_models.{spec.name}",
            why=f"{entry.value} raised {type(error).__name__}: {brief(error)}",
            fix=f"mend it, or install another version of {_distribution(entry)}",
        ) from error
    return take_in(spec, model, entry_point=entry.name, distribution=_distribution(entry), options=spec.options)


def distribution_of(spec: CostModelSpec) -> str:
    """Name and version of the distribution that a `python` entry's cost model comes from. Raises ModelError."""
    return _distribution(_entry_point(spec))


def _entry_point(spec: CostModelSpec) -> EntryPoint:
    wanted = str(spec.options["entry_point"])
    offered = entry_points(group=GROUP)
    found = [entry for entry in offered if entry.name == wanted]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted({entry.name for entry in offered})) or "none"
    raise ModelError(
        f"two distributions declare a cost model '{wanted}'" if found else f"there is no cost model '{wanted}'",
        where=f"cost_models.{spec.name}.entry_point",
        why=f"declared by {' and '.join(map(_distribution, found))}" if found else f"those installed offer: {names}",
        fix="uninstall one of them" if found else f"install what declares it in the group `{GROUP}`",
    )


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown distribution"
