"""What decided a step: the score, and the pattern, the tool rule or the word that it rests on."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ig_guardrail.budget import pressure
from ig_guardrail.costs.calls.rules import ToolRules
from ig_guardrail.costs.heads.lexical import LexicalHead
from ig_guardrail.drive.scoring.cost_registry import CostRegistry
from ig_guardrail.policy.diagnostics.render import printable
from ig_guardrail.policy.language.tools import ARGUMENT_RULE
from ig_guardrail.types import Charge, CompiledPolicy, CostModelSpec, Piece, Prompt, ToolCall
from ig_guardrail.workbench.cases.reading import Step
from ig_guardrail.workbench.cases.trial import JudgedCase, Trace

MOST_WORDS = 400  # of a text, each of which is left out once
NOTABLE = 0.01  # how much of a score a word must carry to be told
WIDEST = 100  # characters of a pattern, rule or word

Fired = Mapping[str, tuple[str | int, ...]]


def reasons(step: Step, judged: JudgedCase, trace: Trace, costs: CostRegistry, policy: CompiledPolicy) -> list[str]:
    """The score that decided, and what it rests on, a line each; nothing where nothing was charged."""
    call = None if step.call is None else ToolCall(*step.call)
    if trace.check is not None:
        if policy.prompt is None:
            return ["the policy has no prompt check"]
        line = f"prompt check: score {trace.check.score:.3g}, threshold {policy.prompt.threshold:g}"
        return [line, *_behind(trace.check.raw, trace.check.fired, call, judged.text, costs, policy)]
    charge = deciding(trace, policy, step.expect.shadow or step.expect.budget)
    if charge is None:
        return []
    budget = next(one for one in policy.budgets if one.id == charge.budget)
    end = f"the end, token {charge.position}" if charge.ended else f"token {charge.position}"
    text = judged.text[: trace.ends[charge.position - 1]] if charge.position else ""
    score = f"score {charge.score:.3g}, threshold {budget.threshold:g}, left {charge.z_after:.3g} of {budget.budget:g}"
    line = f"budget `{charge.budget}` at {end}: {score}"
    return [line, *_behind(charge.raw, charge.fired, call, text, costs, policy)]


def deciding(trace: Trace, policy: CompiledPolicy, expected: str | None = None) -> Charge | None:
    """The line of the account that decided: the one that was denied, else the one furthest up to its threshold.

    expected: the budget that was to decide; where nothing was denied, its lines are looked at, if there are any
    """
    if trace.denied is not None:
        at = trace.denied.budget, trace.denied.position
        denied = [line for line in trace.charges if (line.budget, line.position) == at and line.z_after < 0]
        if denied:
            return denied[-1]
    thresholds = {one.id: one.threshold for one in policy.budgets}
    lines = [line for line in trace.charges if line.budget == expected] or list(trace.charges)
    return max(lines, key=lambda line: pressure(line.score, thresholds[line.budget]), default=None)


def _behind(
    raw: Mapping[str, float],
    fired: Fired,
    call: ToolCall | None,
    text: str,
    costs: CostRegistry,
    policy: CompiledPolicy,
) -> list[str]:
    """What each cost model's score rests on."""
    lines = []
    for name, score in raw.items():
        model = costs.by_name[name].model
        if name in fired:
            lines += [f"{told_pattern(costs.by_name[name].spec, rule)} matches" for rule in fired[name]]
        elif costs.by_name[name].spec.kind == "calls":
            lines += [f"a call of {costs.by_name[name].spec.options['tool']} ends here"] if score else []
        elif isinstance(model, ToolRules) and score and call is not None:
            broken = [rule for rule, kept in verdicts(model, call) if not kept]
            spec = costs.by_name[name].spec
            lines += [f"{told_rule(spec, rule)} is broken{_of_another_type(model, rule, call)}" for rule in broken]
        elif isinstance(model, LexicalHead) and score:
            lines.append(f"`{name}` {score:.3g}{_heaviest_word(model, text, score)}")
        else:
            lines.append(f"`{name}` {score:.3g}")
    return lines


def patterns_of(spec: CostModelSpec) -> dict[str | int, str]:
    """The patterns of a cost model as they are written, by name, else by place in the list."""
    named = [one if isinstance(one, Mapping) else {"pattern": one} for one in spec.options.get("patterns", ())]
    return {one.get("name", place): str(one["pattern"]) for place, one in enumerate(named)}


def told_pattern(spec: CostModelSpec, rule: str | int) -> str:
    """A pattern of a cost model, by its name or place and as it is written."""
    written = patterns_of(spec).get(rule, "")
    return f"pattern {rule} of `{spec.name}`{f': {_clipped(written)}' if written else ''}"


def told_rule(spec: CostModelSpec, rule: str) -> str:
    """A tool rule, by its place in the policy and as it is written."""
    part, _, place = rule.removesuffix("]").partition("[")
    written = spec.options[part][int(place)] if place else spec.options[part]
    if part == "arguments":
        kept = {key: written[key] for key in ARGUMENT_RULE.fields if written.get(key) is not None}
        said = "{" + ", ".join(f"{key}: {_value(value)}" for key, value in kept.items()) + "}"
    else:
        said = _value(written)
    return f"tool rule {rule}: {_clipped(said)}"


def _of_another_type(rules: ToolRules, place: str, call: ToolCall) -> str:
    """That an argument is a text where the rule is for numbers, or the other way round; "" where it is not."""
    part, _, index = place.removesuffix("]").partition("[")
    if part != "arguments":
        return ""
    rule = rules.arguments[int(index)]
    text = all(isinstance(value, str) for value in rule.values(call))
    limits = ("least", "most") if text else ("matches", "one_of")
    asked = [f"`{limit}`" for limit in limits if getattr(rule, limit) is not None]
    what = ("a text", "numbers") if text else ("no text", "texts")
    return f": `{rule.argument}` is {what[0]}, and {' and '.join(asked)} limit {what[1]}" if asked else ""


def verdicts(rules: ToolRules, call: ToolCall) -> list[tuple[str, bool]]:
    """What each tool rule that is about a call says of it: its place in the policy, and whether the call keeps it."""
    allowed = [place for place, one in enumerate(rules.allow or ()) if one.fullmatch(call.name)]
    found = [(f"allow[{place}]", True) for place in allowed]
    found += [("allow", False)] if rules.allow is not None and not allowed else []
    found += [(f"deny[{place}]", False) for place, one in enumerate(rules.deny) if one.fullmatch(call.name)]
    for place, rule in enumerate(rules.arguments):
        if rule.values(call):
            found.append((f"arguments[{place}]", not rule.breaks(call)))
    return found


def _heaviest_word(model: LexicalHead, text: str, score: float) -> str:
    """The word without which the score is lowest, if one carries any of it."""
    words = list(re.finditer(r"\S+", text))[:MOST_WORDS]
    if len(words) < 2:
        return ""
    start = model.start(Prompt((), ()))
    left = [Piece(text[: word.start()] + text[word.end() :], ended=True) for word in words]
    scores = [max(one) for _, one in model.advance([(start, piece) for piece in left])]
    lowest = min(range(len(words)), key=scores.__getitem__)
    if scores[lowest] > score - NOTABLE:
        return ""
    return f', most by "{_clipped(words[lowest][0])}": {scores[lowest]:.3g} without it'


def _value(value: object) -> str:
    """A value about as it is written in YAML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _clipped(text: str) -> str:
    return printable(text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}...")
