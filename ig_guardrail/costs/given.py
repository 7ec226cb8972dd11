"""Cost models that the program hands in, for the entries of kind `given` and for no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.foreign import ForeignCost, take_in
from ig_guardrail.errors import ModelError
from ig_guardrail.types import CostModelSpec


def given_cost_model(spec: CostModelSpec, given: Mapping[str, CostModel]) -> ForeignCost:
    """The one for an entry of kind `given`. Raises ModelError if it was not handed in, or is not one."""
    if spec.name not in given:
        raise ModelError(
            f"the program gives no cost model '{spec.name}'",
            where=f"cost_models.{spec.name}",
            why="the policy says `kind: given`, and without it nothing would be judged by this name",
            fix=f"pass `cost_models={{'{spec.name}': ...}}` where the policy is opened",
        )
    return take_in(spec, given[spec.name])


def check_given(specs: Sequence[CostModelSpec], given: Mapping[str, CostModel]) -> None:
    """Raises ModelError for a cost model that the policy does not ask the program for."""
    asked = [spec.name for spec in specs if spec.kind == "given"]
    for name in given:
        if name not in asked:
            raise ModelError(
                f"the policy does not ask the program for a cost model '{name}'",
                where=f"cost_models.{name}",
                why="a program cannot replace what a policy names itself, only give what it leaves open",
                fix=f"leave it out; it leaves open: {', '.join(asked) or 'nothing'}",
            )
