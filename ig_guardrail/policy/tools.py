"""What a policy says of tools, as cost models and budgets: nothing behind the policy knows of tools.

The rules become one cost model and a ban. A budget of scope `tool` has its cost models score calls instead of the
answer; a limit of calls is one in which every call costs 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ig_guardrail.types import Budget, CostModelSpec, Expression

RULES = "tools"  # the cost model and the budget of the rules
HAZARDS = ("x.tools",)
TIMEOUT_S = 2.0


def tool_budgets(form: Mapping[str, Any]) -> tuple[Budget, ...]:
    """No call that breaks a rule is within budget, and no more calls than a limit says."""
    section = form.get("tools")
    if section is None:
        return ()
    ban = Budget(RULES, HAZARDS, Expression("model", model=RULES), threshold=0.0)
    limits = (
        Budget(one["id"], HAZARDS, _finished(one["tool"]), 0.0, budget=one["calls"], scope="tool", tool=one["tool"])
        for one in section["limits"] or ()
    )
    return ban, *limits


def by_call(budget: Budget) -> Budget:
    """A budget of scope `tool`, charged where a call of its tool ends and nowhere else."""
    cost = Expression("multiply", (_finished(budget.tool), _of_calls(budget.cost, budget.tool)))
    return replace(budget, cost=cost, hazards=(*budget.hazards, *HAZARDS))


def tool_models(
    form: Mapping[str, Any], specs: Sequence[CostModelSpec], budgets: Sequence[Budget]
) -> tuple[CostModelSpec, ...]:
    """The cost models that these budgets name beside those of the policy."""
    declared = {spec.name: spec for spec in specs}
    made = {RULES: CostModelSpec(RULES, "tools", HAZARDS, form["tools"], TIMEOUT_S)} if "tools" in form else {}
    for budget in budgets:
        if budget.scope == "tool":
            count = _name("", budget.tool)
            made[count] = CostModelSpec(count, "calls", HAZARDS, {"tool": budget.tool}, TIMEOUT_S)
            for name, spec in declared.items():
                judged = _name(name, budget.tool)
                if judged in budget.cost.models():
                    made[judged] = replace(spec, name=judged, kind="calls", options={"tool": budget.tool, "by": name})
    return tuple(made.values())


def _finished(tool: str) -> Expression:
    return Expression("model", model=_name("", tool))


def _of_calls(cost: Expression, tool: str) -> Expression:
    """A cost expression over calls: the same, of cost models that score calls."""
    if cost.op == "model":
        return Expression("model", model=_name(cost.model, tool))
    return replace(cost, args=tuple(_of_calls(arg, tool) for arg in cost.args))


def _name(model: str, tool: str) -> str:
    """What a cost model over calls is called; no policy can give such a name."""
    return f"{model} of calls of {tool}".lstrip()


def includes(broad: str, narrow: str) -> bool:
    """Whether a pattern of tool names matches every name that another matches."""
    parts = broad.split("*")
    if len(parts) == 1:
        return broad == narrow
    rest = narrow[len(parts[0]) :] if narrow.startswith(parts[0]) else None
    for part in parts[1:-1]:
        at = rest.find(part) if rest is not None else -1
        rest = rest[at + len(part) :] if rest is not None and at >= 0 else None
    return rest is not None and rest.endswith(parts[-1])
