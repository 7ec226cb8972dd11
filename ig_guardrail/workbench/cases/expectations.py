"""What a case expects, beside what came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ig_guardrail.types import CompiledPolicy
from ig_guardrail.workbench.cases.reading import Expectation, Step, message_of
from ig_guardrail.workbench.cases.trial import Trace

NEAR = 0.0005  # what is spent is told to three decimals


@dataclass(frozen=True, slots=True)
class Difference:
    """A key of an expectation, what it says, and what came."""

    key: str
    expected: str
    found: str


def differences(step: Step, trace: Trace, policy: CompiledPolicy) -> tuple[Difference, ...]:
    """Where what came is not what was expected."""
    expect = step.expect
    found = [
        Difference(key, _written(expected), told)
        for key in Expectation.__slots__
        if (expected := getattr(expect, key)) is not None and (told := _CHECKS[key](expect, trace, policy)) is not None
    ]
    return tuple(found)


def _written(expected: object) -> str:
    if isinstance(expected, tuple):
        return ", ".join(expected) or "none"
    return f"{expected:g}" if isinstance(expected, float) else str(expected)


def _outcome(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    asked = ("refused", "ended") if expect.outcome == "denied" else (expect.outcome,)
    return None if trace.outcome in asked else trace.outcome + (f": {trace.failure}" if trace.failure else "")


def _action(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    found = trace.check.action if trace.check else "none"
    return None if found == expect.action else found


def _budget(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    if expect.spent is not None and (trace.denied is None or not trace.denied.budget):
        return None
    found = trace.denied.budget if trace.denied else None
    return None if found == expect.budget else found or "no budget denied it"


def _shadow(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    shadows = {one.id for one in policy.budgets if one.mode == "shadow"}
    over = dict.fromkeys(line.budget for line in trace.charges if line.budget in shadows and line.z_after < 0)
    return None if expect.shadow in over else ", ".join(over) or "no shadow budget would deny it"


def _charge_point(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    found = trace.denied.position if trace.denied else None
    return None if found == expect.charge_point else "no denial" if found is None else str(found)


def _spent(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    budget = expect.budget or policy.budgets[0].id
    found = float(trace.receipt.spend[budget]["spent"])
    return None if abs(found - (expect.spent or 0.0)) <= NEAR else f"{found:.3f} of `{budget}`"


def _message(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    wanted, receipt = message_of(policy, expect.message or ""), trace.receipt
    if trace.outcome not in ("refused", "ended"):
        return "no message"
    found = receipt.message_name if wanted.name else receipt.message
    return None if found == (wanted.name or wanted.text) else receipt.message_name or "no message"


def _fired(expect: Expectation, trace: Trace, policy: CompiledPolicy) -> str | None:
    found = [str(rule) for rules in trace.fired.values() for rule in rules]
    missing = set(expect.fired or ()) - set(found)
    return (", ".join(found) or "none") if missing or (found and not expect.fired) else None


_CHECKS: dict[str, Callable[[Expectation, Trace, CompiledPolicy], str | None]] = {
    "outcome": _outcome,
    "action": _action,
    "budget": _budget,
    "shadow": _shadow,
    "charge_point": _charge_point,
    "spent": _spent,
    "message": _message,
    "fired": _fired,
}
