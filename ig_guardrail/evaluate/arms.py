"""The arms that are compared, all over one engine, one policy and one seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ig_guardrail.drive.charging import noted_only
from ig_guardrail.drive.run import STREAMING_BLOCK, method_for
from ig_guardrail.errors import RequestError
from ig_guardrail.evaluate.answers import Arm
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search import plain
from ig_guardrail.types import CompiledPolicy


@dataclass(frozen=True, slots=True)
class Arms:
    """The unguarded stream and the guarded one."""

    unguarded: Arm
    guarded: Arm


def arms_of(guardrail: Guardrail) -> Arms:
    """The arms for a guardrail.

    Raises RequestError if its policy enforces nothing, since nothing could differ, or its strategy lacks what it needs.

    The unguarded arm decodes as strategy `none` does, with every budget in shadow: the tokens are the same, and its
    account says what the unguarded answer would have cost.
    """
    policy = guardrail.policy
    if all(budget.mode == "shadow" for budget in policy.budgets):
        raise RequestError(
            f"policy '{policy.name}' enforces no budget",
            where="comparison",
            why="its guarded and unguarded answers are the same",
            fix="compare under a policy with at least one budget in `mode: enforce`",
        )
    named = policy.search.strategy
    apart = guardrail.verifier is not None
    method = method_for(named, policy, guardrail.costs, guardrail.values, guardrail.engine.info, apart)
    return Arms(
        unguarded=Arm("unguarded", under(guardrail, watching(policy)), plain.search, policy.budgets),
        guarded=Arm("guarded", guardrail, method.search, policy.budgets),
    )


def watching(policy: CompiledPolicy) -> CompiledPolicy:
    """The policy with every budget in shadow: it decodes as strategy `none` does, and its account tells the cost."""
    return replace(
        policy,
        budgets=tuple(noted_only(budget) for budget in policy.budgets),
        prompt=None,
        search=replace(policy.search, block=STREAMING_BLOCK, hold=0, restart=None),
    )


def under(guardrail: Guardrail, policy: CompiledPolicy) -> Guardrail:
    """The same models, cost models and values under another policy."""
    other = Guardrail(guardrail.engine, policy, guardrail.costs.built, guardrail.values, guardrail.limits)
    other.verifier = guardrail.verifier
    return other
