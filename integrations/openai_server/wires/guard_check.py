"""`POST /v1/guard/check`: whether a policy lets a prompt, a text or calls through, by what not, and what is left.

What a pattern matched is never told; only which pattern it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.judging import Given, JudgedText
from ig_guardrail.integrations.openai_server.wires.fields import Fields
from ig_guardrail.types import AssistantMessage, Budget, Charge, ToolCall

FIELDS = Fields(honoured=("model", "policy", "conversation", "inputs"), ignored=(), refused={})
INPUT = Fields(honoured=("prompt", "text", "calls"), ignored=(), refused={})
CALL = Fields(honoured=("name", "arguments", "id"), ignored=(), refused={})
MOST = 128  # inputs of a request, and calls of an input


@dataclass(frozen=True, slots=True)
class CheckAsked:
    """A body that was read. model: "" where it names none"""

    model: str
    policy: str | None
    conversation: str | None
    given: tuple[Given, ...]


def read_check(body: Mapping[str, Any]) -> CheckAsked:
    """What a body asks. Raises Refused, naming the place, for what cannot be judged."""
    given, _ = FIELDS.read(body)
    for name in ("model", "policy", "conversation"):
        if name in given and (not isinstance(given[name], str) or not given[name]):
            raise unfit("it is no text", name)
    inputs = given.get("inputs")
    if not isinstance(inputs, list) or not 0 < len(inputs) <= MOST:
        raise unfit(f"it is a list of 1 to {MOST} inputs", "inputs")
    read = tuple(_given(one, f"inputs[{index}]") for index, one in enumerate(inputs))
    return CheckAsked(given.get("model", ""), given.get("policy"), given.get("conversation"), read)


def write_check(guardrail: Guardrail, asked: CheckAsked, judged: Sequence[JudgedText]) -> dict[str, Any]:
    """What became of every input, in order."""
    policy = guardrail.policy
    return {
        "object": "guard.check",
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "conversation": asked.conversation,
        "allowed": all(one.allowed for one in judged),
        "results": [_result(guardrail, given, one) for given, one in zip(asked.given, judged, strict=True)],
    }


def _given(one: object, where: str) -> Given:
    if not isinstance(one, Mapping):
        raise unfit("an input is an object", where)
    read, _ = INPUT.read(one, where)
    for name in ("prompt", "text"):
        if not isinstance(read.get(name, ""), str):
            raise unfit("it is no text", f"{where}.{name}")
    calls = read.get("calls", [])
    if not isinstance(calls, list) or len(calls) > MOST:
        raise unfit(f"it is a list of at most {MOST} calls", f"{where}.calls")
    if not read:
        raise unfit("it has a prompt, a text, calls, or several of them", where)
    made = tuple(_call(call, f"{where}.calls[{index}]") for index, call in enumerate(calls))
    return Given(AssistantMessage(read.get("text", ""), made), read.get("prompt", ""))


def _call(call: object, where: str) -> ToolCall:
    if not isinstance(call, Mapping):
        raise unfit("a call is an object", where)
    read, _ = CALL.read(call, where)
    name, arguments, named = read.get("name"), read.get("arguments", {}), read.get("id")
    if not isinstance(name, str) or not isinstance(arguments, dict) or not isinstance(named, str | None):
        raise unfit("it has a name, and arguments, which are an object", where)
    return ToolCall(name, arguments, named)


def _result(guardrail: Guardrail, given: Given, one: JudgedText) -> dict[str, Any]:
    rules, prompt = guardrail.costs.tool_rules, one.charged.prompt
    by = "prompt" if one.refused else one.denied.budget if one.denied else None
    checked = {
        "score": prompt.score,
        "threshold": guardrail.policy.prompt.threshold if guardrail.policy.prompt else None,
        "action": prompt.action,
        "hazards": list(prompt.hazards),
        "fired": _fired(prompt.fired),
    }
    return {
        "allowed": one.allowed,
        "denied_by": by,
        "denied_at": one.denied.position if one.denied and not one.refused else None,
        "tokens": one.charged.node.position,
        "prompt": checked if prompt.raw else None,
        "budgets": [_budget(rule.budget, one) for rule in guardrail.costs.rules],
        "calls": [
            {"name": call.name, "breaks": list(rules.rules_against(call)) if rules else []} for call in given.said.calls
        ],
        "failed_open": list(one.charged.fail_open),
    }


def _budget(budget: Budget, one: JudgedText) -> dict[str, Any]:
    """The account of one budget: its highest score, what the input costs, and what would be left of it."""
    lines = [line for line in one.charged.charges if line.budget == budget.id]
    return {
        "id": budget.id,
        "mode": budget.mode,
        "scope": budget.scope,
        "threshold": budget.threshold,
        "score": max((line.score for line in lines), default=0.0),
        "cost": sum(line.cost for line in lines),
        "limit": budget.budget,
        "remaining": one.charged.left[budget.id],
        "hazards": list(one.charged.over.get(budget.id, ())),
        "fired": _all_fired(lines),
    }


def _all_fired(lines: Sequence[Charge]) -> dict[str, list[str | int]]:
    found: dict[str, dict[str | int, None]] = {}
    for line in lines:
        for name, fired in line.fired.items():
            found.setdefault(name, {}).update(dict.fromkeys(fired))
    return _fired({name: tuple(fired) for name, fired in found.items()})


def _fired(fired: Mapping[str, tuple[str | int, ...]]) -> dict[str, list[str | int]]:
    return {name: list(patterns) for name, patterns in fired.items()}
