"""Compares what two policies say of tools: calls that one lets through and the other does not, seen by the rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.budget import BudgetRule
from ig_guardrail.costs.calls.rules import ArgumentRule, ToolRules, name_pattern, tool_rules
from ig_guardrail.policy.tools import HAZARDS, RULES
from ig_guardrail.types import Budget, CompiledPolicy, Expression, ToolCall
from ig_guardrail.workbench.meaning.budgets import BudgetLine
from ig_guardrail.workbench.meaning.tool_names import TooManyNames, names_by_patterns
from ig_guardrail.workbench.meaning.trials import MadeUpAnswer, Moment, run

MOST_CALLS = 5_000  # that an example may hold


@dataclass(frozen=True, slots=True)
class CallExample:
    """Calls of a conversation, how often each. The last one is denied by one policy and made under the other."""

    calls: tuple[tuple[ToolCall, int], ...]
    by: str


@dataclass(frozen=True, slots=True)
class CallComparison:
    """What B denies of the calls that A lets through, and the other way round; what is not decided."""

    stricter: CallExample | None = None
    looser: CallExample | None = None
    undecided: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.undecided:
            return "not decided"
        if self.stricter and self.looser:
            return "incomparable"
        return "stricter" if self.stricter else "looser" if self.looser else "same"


@dataclass(frozen=True, slots=True)
class ToolSide:
    """What one policy says of tools. limits: of calls in a conversation; texts: what arguments are limited by."""

    rules: ToolRules
    limits: tuple[Budget, ...]
    written: Mapping[str, Any]

    def allows(self, call: ToolCall) -> bool:
        return not self.rules.broken_by(call)


def compare_calls(a: CompiledPolicy, b: CompiledPolicy) -> CallComparison:
    """By the rules of both, and by their limits of calls."""
    sides = side_of(a), side_of(b)
    try:
        names = names_by_patterns(sorted({pattern for side in sides for pattern in _patterns(side)}))
    except TooManyNames as error:
        return CallComparison(undecided=(str(error),))
    undecided: dict[str, None] = {}
    stricter = next(_denied(sides[1], sides[0], names, undecided), None)
    looser = next(_denied(sides[0], sides[1], names, undecided), None)
    return CallComparison(stricter, looser, tuple(undecided))


def side_of(policy: CompiledPolicy) -> ToolSide:
    """A policy's rules and limits; those that allow everything where it has none."""
    written = next((spec.options for spec in policy.cost_models if spec.kind == "tools"), {})
    limits = tuple(one for one in policy.budgets if one.scope == "tool" and one.hazards == HAZARDS)
    return ToolSide(tool_rules(RULES, HAZARDS, written), limits, written)


def _patterns(side: ToolSide) -> Iterator[str]:
    yield from side.written.get("allow") or ()
    yield from side.written.get("deny") or ()
    yield from (rule.get("tool") or "*" for rule in side.written.get("arguments") or ())
    yield from (limit.tool for limit in side.limits)


def _denied(
    side: ToolSide, other: ToolSide, names: Mapping[frozenset[str], str], undecided: dict[str, None]
) -> Iterator[CallExample]:
    """Calls that a side denies and the other lets through. undecided: takes what is found open on the way."""
    callable_ = {fits: name for fits, name in names.items() if other.rules.may_call(name)}
    for name in callable_.values():
        if not side.rules.may_call(name):
            yield CallExample(((ToolCall(name, {}), 1),), "the rules for tools")
            continue
        for argument in dict.fromkeys(rule.argument for rule in side.rules.arguments):
            yield from _argument(side, other, name, argument, undecided)
    made = {fits: name for fits, name in callable_.items() if side.rules.may_call(name)}
    for limit in side.limits:
        yield from _over_limit(limit, other, made, undecided)


def _argument(
    side: ToolSide, other: ToolSide, name: str, argument: str, undecided: dict[str, None]
) -> Iterator[CallExample]:
    own, others = (
        [rule for rule in one.rules.arguments if rule.argument == argument and rule.tool.fullmatch(name)]
        for one in (side, other)
    )
    if not own:
        return
    for value in _values([*own, *others]):
        call = ToolCall(name, {argument: value})
        if other.allows(call) and not side.allows(call):
            yield CallExample(((call, 1),), f"the rules for `{argument}`")
            return
    if _may_hide_texts(own, others):
        undecided[f"whether the patterns for `{argument}` of {name} allow the same texts"] = None


def _may_hide_texts(own: Sequence[ArgumentRule], others: Sequence[ArgumentRule]) -> bool:
    """Whether texts that were not tried may be allowed by the others alone. Numbers and lists of texts were tried."""
    numbers = any(rule.least is not None or rule.most is not None for rule in others)
    listed = any(rule.one_of is not None for rule in others)
    patterns = {rule.matches.pattern for rule in others if rule.matches is not None}
    covered = all(
        rule.least is None
        and rule.most is None
        and rule.one_of is None
        and (rule.matches is None or rule.matches.pattern in patterns)
        for rule in own
    )
    return not (numbers or listed or covered)


def _values(rules: Sequence[ArgumentRule]) -> Iterator[Any]:
    """Values on either side of every border that rules draw, and of a kind that none of them takes."""
    ends = [end for rule in rules for end in (rule.least, rule.most) if end is not None]
    near = [(end, *(round(end + step, 6) for step in (1, -1, 0.01, -0.01))) for end in ends]
    yield from dict.fromkeys(_whole(number) for numbers in near for number in numbers)
    yield 0
    yield from dict.fromkeys(text for rule in rules for text in rule.one_of or ())
    yield from (text for rule in rules if rule.matches is not None for text in _samples(rule.matches.pattern))
    yield from ("something else", "x", "", True)


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def _samples(pattern: str) -> list[str]:
    """Texts that many a simple pattern matches; whether it does is seen when they are tried."""
    text = re.sub(r"\(\?[a-z]*:?|[()^$]|(?<!\\)[+*?]|\{[^}]*\}", "", pattern)
    text = re.sub(r"\[(\\?.)[^\]]*\]", r"\1", text)
    for escape, letter in ((r"\d", "0"), (r"\w", "a"), (r"\s", " "), ("\\", "")):
        text = text.replace(escape, letter)
    return text.split("|")


def _over_limit(
    limit: Budget, other: ToolSide, names: Mapping[frozenset[str], str], undecided: dict[str, None]
) -> Iterator[CallExample]:
    """One call more than a limit allows, if the other's limits allow it."""
    counted = [fits for fits in names if limit.tool in fits]
    within = any(one.budget <= limit.budget and all(one.tool in fits for fits in counted) for one in other.limits)
    if not counted or within:
        return
    wanted, calls = int(limit.budget) + 1, dict[str, int]()
    for fits in counted:  # as many of each as the other's limits leave
        spent = [
            (one, sum(n for name, n in calls.items() if _is_of(one, name))) for one in other.limits if one.tool in fits
        ]
        room = min((int(one.budget) - used for one, used in spent), default=wanted)
        calls[names[fits]] = max(0, min(room, wanted - sum(calls.values())))
    calls = {name: count for name, count in calls.items() if count}
    if sum(calls.values()) == wanted and wanted <= MOST_CALLS and _seen(limit, other, calls):
        yield CallExample(
            tuple((ToolCall(name, {}), count) for name, count in calls.items()), f"the limit '{limit.id}'"
        )
    else:
        undecided[f"whether the limit '{limit.id}' denies more than those of the other policy"] = None


def _is_of(limit: Budget, name: str) -> bool:
    return name_pattern(limit.tool).fullmatch(name) is not None


def _seen(limit: Budget, other: ToolSide, calls: Mapping[str, int]) -> bool:
    """Whether the calls are denied under the limit and made under the other's, when they are charged."""
    made = [name for name, count in calls.items() for _ in range(count)]
    answer = MadeUpAnswer(len(made) + 1, tuple(Moment(place, {name: 1.0}) for place, name in enumerate(made, 1)))
    denied, shown = (
        run([_counting(one, calls) for one in limits], [answer]).denied for limits in ((limit,), other.limits)
    )
    return denied is not None and shown is None


def _counting(limit: Budget, names: Mapping[str, int]) -> BudgetLine:
    of_tool = tuple(Expression("model", model=name) for name in names if _is_of(limit, name))
    nothing = Expression("number", number=0.0)
    return BudgetLine(BudgetRule(limit, "token", "event"), Expression("max", (nothing, *of_tool)), events=True)
