"""Kinds `python` and `provided`: cost models that this package did not make."""

from __future__ import annotations

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.kinds.base import BuildContext, CostKind
from ig_guardrail.fields.field import Field, FormatKind, MapOf, TextKind
from ig_guardrail.types import CostModelSpec

ENTRY_POINT = FormatKind("the name of an entry point", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", "my-judge")
OPTION = FormatKind("the name of an option", r"[a-z][a-z0-9_]{0,63}", "style")


def build_installed(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """What an installed distribution's entry point makes."""
    from ig_guardrail.costs.plugins import installed_cost_model

    return installed_cost_model(spec)


def build_provided(spec: CostModelSpec, context: BuildContext) -> CostModel:
    """What the program hands in."""
    from ig_guardrail.costs.plugins import provided_cost_model

    return provided_cost_model(spec, context.given)


PYTHON = CostKind(
    "python",
    {
        "entry_point": Field(
            ENTRY_POINT,
            "what an installed distribution calls it in the group `ig_guardrail.cost_models`",
            "my-judge",
            required=True,
        ),
        "options": Field(MapOf(OPTION, TextKind(1000), 1, 64), "texts that its factory is given", '{style: "strict"}'),
    },
    build_installed,
    declares=None,
)
PROVIDED = CostKind("provided", {}, build_provided, declares=None)
