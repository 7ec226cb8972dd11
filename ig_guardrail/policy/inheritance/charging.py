"""Whether a budget with another cost expression, or a cost model with more patterns, certainly charges as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.policy import expression
from ig_guardrail.types import Expression

NormalForm: TypeAlias = Mapping[str, Any]  # a normal form, or a part of one


def scores_as_much(own: str, above: str) -> bool:
    """Whether a cost expression reads every cost model of another, and certainly never scores below it."""
    mine, other = expression.reread(own), expression.reread(above)
    return set(mine.models()) >= set(other.models()) and _at_least(mine, other, {})


def _at_least(own: Expression, above: Expression, known: dict[tuple[Expression, Expression], bool]) -> bool:
    """By the form alone: every operation grows with each of its parts, when it is rounded as well."""
    pair = own, above
    if pair not in known:
        known[pair] = (
            own == above
            or (own.op == above.op == "number" and own.number >= above.number)
            or (above.op == "max" and all(_at_least(own, one, known) for one in above.args))
            or (above.op == "min" and any(_at_least(own, one, known) for one in above.args))
            or (own.op in ("max", "add") and any(_at_least(one, above, known) for one in own.args))
            or (own.op == "min" and all(_at_least(one, above, known) for one in own.args))
            or (own.op == above.op != "model" and _part_by_part(own.args, above.args, known))
        )
    return known[pair]


def _part_by_part(
    own: Sequence[Expression], above: Sequence[Expression], known: dict[tuple[Expression, Expression], bool]
) -> bool:
    return len(own) == len(above) > 0 and all(_at_least(*pair, known) for pair in zip(own, above, strict=True))


def chains_of(cost: str, form: NormalForm) -> list[list[NormalForm]]:
    """For each cost model of an expression: itself, and those that may serve instead of it."""
    found = []
    for name in expression.reread(cost).models():
        chain: dict[str, NormalForm] = {}
        step: str | None = name
        while step is not None and step not in chain:
            chain[step] = form["cost_models"][step]
            step = chain[step].get("otherwise")
        found.append(list(chain.values()))
    return found


def reads(chain: Sequence[NormalForm], reading: str) -> bool:
    """Whether scores are certainly of a kind, whichever of them serves. What tells it only when it runs is of none."""
    declared = [KINDS[one["kind"]].declares for one in chain]
    return all(one is not None and one.reading == reading for one in declared)


def charged_alike(own: str, above: str, form: NormalForm) -> bool:
    """Whether a budget is charged where it was, and as it was, with another expression."""
    mine, other = chains_of(own, form), chains_of(above, form)
    kinds = {KINDS[one["kind"]].declares for chain in (*mine, *other) for one in chain}
    if None in kinds or len({one.granularity for one in kinds if one is not None}) > 1:
        return False
    level = any(reads(chain, "level") for chain in other)  # and so in the child, which reads all of them
    return level or all(reads(chain, "event") for chain in (*mine, *other))


def may_grow(name: str, form: NormalForm) -> bool:
    """Whether more patterns of a cost model make each budget of it stricter.

    A match that is known one piece late counts as nothing where another pattern matched before. That is no loss where
    the highest score decides, or where nothing is added to what patterns score.
    """
    model = form["cost_models"][name]
    for budget in form["budgets"]:
        cost, chains = expression.reread(budget["cost"]), chains_of(budget["cost"], form)
        if cost.op == "model" or not any(model is one for chain in chains for one in chain):
            continue
        highest = cost.op == "max" and all(one.op == "model" for one in cost.args)
        levels = budget["scope"] != "tool" and any(reads(chain, "level") for chain in chains)
        if not (highest and (not budget["budget"] or (budget["accumulate"] == "max" and levels))):
            return False
    return True
