"""What of a policy its cases try: both sides of every threshold, every pattern, every tool rule, every message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ig_guardrail.types import CompiledPolicy, CostModelSpec, ToolCall
from ig_guardrail.workbench.cases.reading import message_ids
from ig_guardrail.workbench.cases.reasons import patterns_of, told_pattern, told_rule, verdicts
from ig_guardrail.workbench.cases.suite import CaseStepResult, FileResult


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the cases of one policy must try, and which of it no case tries."""

    policy: str
    needed: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """Percent."""
        return 100.0 * (len(self.needed) - len(self.missing)) / len(self.needed) if self.needed else 100.0


def coverages(files: Sequence[FileResult]) -> list[Coverage]:
    """The coverage of each policy, by all its files. Cases that are to do, or could not be run, try nothing."""
    by_policy: dict[str, list[FileResult]] = {}
    for one in files:
        if one.file.usable:
            by_policy.setdefault(str(one.file.source), []).append(one)
    return [_coverage(name, group) for name, group in by_policy.items()]


def _coverage(name: str, files: Sequence[FileResult]) -> Coverage:
    policy = files[0].policy
    steps = [
        step
        for file in files
        for result in file.results
        if result.status in ("passed", "failed")
        for step in result.steps
    ]
    tried = {what for step in steps for what in _tried(step, policy)}
    needed = tuple(_needed(policy))
    return Coverage(name, needed, tuple(what for what in needed if what not in tried))


def _needed(policy: CompiledPolicy) -> Iterator[str]:
    for budget in policy.budgets:
        if budget.id not in _rules(policy):
            yield from _sides(f"budget `{budget.id}`")
    if policy.prompt is not None:
        yield from _sides("the prompt check")
    for spec in policy.cost_models:
        if spec.name in policy.asked:
            yield from (told_pattern(spec, rule) for rule in patterns_of(spec))
        if spec.kind == "tools":
            yield from _needed_rules(spec)
    yield from (f"message `{one}`" for one in message_ids(policy))


def _sides(what: str) -> tuple[str, str]:
    return f"{what}: a score over its threshold", f"{what}: none over its threshold"


def _rules(policy: CompiledPolicy) -> set[str]:
    """The budget of the tool rules, each of which is counted by itself."""
    return {spec.name for spec in policy.cost_models if spec.kind == "tools"}


def _needed_rules(spec: CostModelSpec) -> Iterator[str]:
    allow = spec.options.get("allow")
    for place in range(len(allow or ())):
        yield _rule(spec, f"allow[{place}]", True)
    if allow is not None:
        yield _rule(spec, "allow", False)
    for place in range(len(spec.options.get("deny") or ())):
        yield _rule(spec, f"deny[{place}]", False)
    for place in range(len(spec.options.get("arguments") or ())):
        yield _rule(spec, f"arguments[{place}]", True)
        yield _rule(spec, f"arguments[{place}]", False)


def _rule(spec: CostModelSpec, rule: str, kept: bool) -> str:
    return f"{told_rule(spec, rule)}: a call that {'keeps' if kept else 'breaks'} it"


def _tried(step: CaseStepResult, policy: CompiledPolicy) -> Iterator[str]:
    trace = step.trace
    if trace.check is not None:
        yield _sides("the prompt check")[0 if trace.check.exceeded else 1]
    for budget in policy.budgets:
        scores = [line.score for line in trace.charges if line.budget == budget.id]
        if scores:
            yield _sides(f"budget `{budget.id}`")[0 if max(scores) > budget.threshold else 1]
    for name, rules in trace.fired.items():
        yield from _patterns(step, name, rules)
    if step.step.call is not None and step.costs.tool_rules is not None:
        model, call = step.costs.tool_rules, ToolCall(*step.step.call)
        said = verdicts(model, call)
        broken = [one for one in said if not one[1]]  # a call that breaks one rule shows of no other that it allows
        yield from (_rule(step.costs.by_name[model.name].spec, *one) for one in broken or said)
    named = step.step.text if step.step.kind == "message" else trace.receipt.message_name
    yield from (f"message `{one}`" for one in message_ids(policy) if one == named)


def _patterns(step: CaseStepResult, name: str, rules: Iterable[str | int]) -> Iterator[str]:
    """Patterns that fired; over calls, those of the cost model that scores the calls."""
    spec = step.costs.by_name[name].spec
    judge = step.costs.by_name.get(spec.options.get("by", ""))
    yield from (told_pattern(judge.spec if judge else spec, rule) for rule in rules)
