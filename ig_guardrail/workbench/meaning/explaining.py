"""What a policy means: who judges which hazard, what overdraws each budget, what is not covered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from ig_guardrail.costs.catalog import OF_CALLS, beyond_text, declared_by
from ig_guardrail.costs.kinds.base import Declaration
from ig_guardrail.fields.field import plainly
from ig_guardrail.policy.expression import written
from ig_guardrail.policy.inheritance.origins import Origin
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec, Messages
from ig_guardrail.types.hazards import HAZARDS, covers
from ig_guardrail.workbench.meaning.budgets import BudgetLine, can_be_overdrawn, most_cost, points_to_overdraw
from ig_guardrail.workbench.meaning.differences import title_of
from ig_guardrail.workbench.meaning.sources import charged, judge_of, open_books, spec_of
from ig_guardrail.workbench.meaning.tool_calls import side_of

SHARED = {
    "response": "one answer",
    "conversation": "all answers of a conversation",
    "tool": "all calls of {tool} in a conversation",
    "tenant": "all that a tenant is answered",
}


@dataclass(frozen=True, slots=True)
class BudgetMeaning:
    """One budget.

    shared      by what, which requests have to name: a conversation or a tenant; "" for a budget of single answers
    cost        its expression; cost_models the entries in it
    most        the most that one answer can cost; None where there is no most
    overdrawn   by what scores it is overdrawn, in words; "" if by none
    certain     whether its cost models say before they run how they score; else that is assumed
    alone       the most that an answer can cost which is scored for one hazard alone, where that overdraws nothing
    """

    id: str
    mode: str
    scope: str
    shared: str
    hazards: tuple[str, ...]
    cost: str
    cost_models: tuple[str, ...]
    threshold: float
    weight: float
    granted: float
    looked_at: str
    most: float | None
    overdrawn: str
    certain: bool
    alone: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PolicyMeaning:
    """What a policy does, part by part; every text is a sentence or a part of one.

    origins: of a policy that extends another, which file says what
    """

    name: str
    version: str
    sha256: str
    budgets: tuple[BudgetMeaning, ...]
    cost_models: tuple[str, ...]
    prompt: str
    tools: tuple[str, ...]
    search: str
    messages: tuple[str, ...]
    not_covered: tuple[str, ...]
    only_recorded: tuple[str, ...]
    not_budgeted: tuple[str, ...]
    origins: tuple[Origin, ...] = ()


def explain_policy(policy: CompiledPolicy, origins: Sequence[Origin] = ()) -> PolicyMeaning:
    """Without a model, and without reading an artifact."""
    budgets = tuple(_budgets(policy))
    enforced = [hazard for one in budgets if one.mode == "enforce" for hazard in one.hazards]
    recorded = [hazard for one in budgets if one.mode == "shadow" for hazard in one.hazards]
    return PolicyMeaning(
        name=policy.name,
        version=policy.version,
        sha256=policy.sha256,
        budgets=budgets,
        cost_models=tuple(_cost_models(policy)),
        prompt=_prompt(policy),
        tools=tuple(_tools(policy)),
        search=_search(policy),
        messages=tuple(_messages(policy.messages)),
        not_covered=tuple(_not_covered([*enforced, *recorded])),
        only_recorded=tuple(dict.fromkeys(one for one in recorded if one not in enforced)),
        not_budgeted=tuple(_not_budgeted(policy, [*enforced, *recorded])),
        origins=tuple(origins),
    )


def _budgets(policy: CompiledPolicy) -> Iterator[BudgetMeaning]:
    everything = replace(policy, budgets=tuple(replace(one, mode="enforce") for one in policy.budgets))
    books = open_books((everything,), None, Declaration())
    patterns = {source.name for source in books.sources if source.whole}
    modes = {one.id: one.mode for one in policy.budgets}
    for line in books.sides[0]:
        budget, most = line.rule.budget, most_cost(line, line.highest)
        judges = dict.fromkeys(judge_of(policy, name).name for name in budget.cost.models())
        judged = [name for name in judges if spec_of(policy, name).kind not in OF_CALLS]
        yield BudgetMeaning(
            id=budget.id,
            mode=modes[budget.id],
            scope=SHARED[budget.scope].format(tool=budget.tool),
            shared={"response": "", "tenant": "tenant"}.get(budget.scope, "conversation"),
            hazards=_scored(policy, budget),
            cost=_expression(policy, budget),
            cost_models=tuple(judged),
            threshold=budget.threshold,
            weight=budget.weight,
            granted=budget.budget,
            looked_at=_looked_at(line),
            most=None if most.cost is None else float(most.cost),
            overdrawn=_overdrawn(line, matching=patterns >= set(line.cost.models())),
            certain=all(declared_by(spec_of(policy, name).kind) for name in budget.cost.models()),
            alone=_alone(everything, budget) if can_be_overdrawn(line, line.highest) else {},
        )


def _alone(policy: CompiledPolicy, budget: Budget) -> dict[str, float]:
    """Hazards that overdraw a budget only where others are scored too, and the most that an answer costs by them."""
    found = {}
    for hazard in _scored(policy, budget):
        lines = open_books((policy,), hazard, Declaration()).sides[0]
        line = next(one for one in lines if one.id == budget.id)
        if not can_be_overdrawn(line, line.highest):
            found[hazard] = float(most_cost(line, line.highest).cost or 0)
    return found


def _scored(policy: CompiledPolicy, budget: Budget) -> tuple[str, ...]:
    """The hazards of a budget that one of its cost models scores."""
    scored = {hazard for name in budget.cost.models() for hazard in judge_of(policy, name).hazards}
    return tuple(one for one in budget.hazards if one in scored and one != "x.tools")


def _expression(policy: CompiledPolicy, budget: Budget) -> str:
    cost = budget.cost.args[1] if budget.scope == "tool" else budget.cost
    text = written(cost)
    for name in cost.models():
        text = text.replace(name, judge_of(policy, name).name)
    return text


def _looked_at(line: BudgetLine) -> str:
    if line.rule.budget.scope == "tool":
        return "where a call ends"
    if not line.step:
        return "at its end only"
    return f"every {line.step} tokens and at its end" if line.step > 1 else "at every token"


def _overdrawn(line: BudgetLine, matching: bool) -> str:
    """By what scores, in words. "" if by none. matching: whether its cost models are patterns, which score 0 or 1."""
    if not can_be_overdrawn(line, line.highest):
        return ""
    alone = line.threshold + line.allowance
    ways = []
    if alone < line.highest:
        early = " near its beginning" if line.discount < 1 and line.granted else ""
        ways.append(f"{'a match' if matching else f'one score above {_number(alone)}'}{early}")
    if line.granted and (not line.rises_only or line.spans):
        count = points_to_overdraw(line, line.highest)
        where = "answers" if line.rises_only else "charge points"
        if count is not None and count > 1:
            ways.append(f"{count} {where} {'with a match' if matching else f'at {_number(line.highest)}'}")
        elif not matching:
            ways.append(f"lower scores at several {where}")
    return ", or ".join(ways)


def _number(value: Fraction | float) -> str:
    return f"{float(value):.6g}"


def _cost_models(policy: CompiledPolicy) -> Iterator[str]:
    """Each cost model that is asked, and what serves instead of it."""
    for name in policy.asked:
        spec = spec_of(policy, name)
        if spec.kind in OF_CALLS:
            continue
        steps = []
        other = spec.otherwise
        while other is not None and other not in steps:
            steps.append(other)
            other = spec_of(policy, other).otherwise
        others = ", else ".join(f"{step} ({_what(spec_of(policy, step))})" for step in steps)
        yield f"{name} ({_what(spec)})" + (f"; where it does not fit at start-up: {others}" if others else "")


def _what(spec: CostModelSpec) -> str:
    named = next(
        (str(spec.options[key]) for key in ("head", "model", "entry_point", "unsafe") if key in spec.options), ""
    )
    many = len(spec.options["patterns"]) if spec.kind == "pattern" else 0
    notes = [f"{many} pattern{'s' if many > 1 else ''}" if many else f"{spec.kind} {named}".strip()]
    notes += [f"reads {beyond_text(spec.kind)}"] if beyond_text(spec.kind) else []
    notes += ["its score {:g} counts as {:g}".format(*spec.scale)] if spec.scale else []
    failing = (
        "goes on without it"
        if spec.on_error == "open"
        else "shows nothing more"
        if spec.options.get("base_url")
        else ""
    )
    notes += [f"asks {spec.options['base_url']}"] if spec.options.get("base_url") else []
    notes += [f"{failing} where it fails"] if failing else []
    return "; ".join(notes)


def _prompt(policy: CompiledPolicy) -> str:
    rule = policy.prompt
    if rule is None:
        return "the input is not checked"
    follows = {
        "refuse": "the refusal is shown, and nothing is decoded",
        "search": "the search is careful from the first token on",
        "observe": "the receipt notes it",
    }
    cost, follow = written(rule.cost), follows[rule.on_exceed]
    return f"where a turn of user or tool scores above {rule.threshold:g} by {cost}, {follow}"


def _tools(policy: CompiledPolicy) -> Iterator[str]:
    side = side_of(policy)
    said = side.written
    if said.get("allow") is not None:
        yield f"only these tools may be called: {', '.join(said['allow'])}"
    if said.get("deny"):
        yield f"these tools may not be called: {', '.join(said['deny'])}"
    for rule in said.get("arguments") or ():
        musts = " and ".join(_musts(rule))
        yield f"`{rule['argument']}` of {rule.get('tool') or '*'}, where it is given, must be {musts}"
    for limit in side.limits:
        many = "1 call" if limit.budget == 1 else f"{limit.budget:g} calls"
        yield f"at most {many} of {limit.tool} in a conversation, which requests must name ({limit.id})"


def _musts(rule: Mapping[str, Any]) -> Iterator[str]:
    least, most = rule.get("least"), rule.get("most")
    if least is not None or most is not None:
        ends = ((" of at least ", least), (" of at most ", most))
        yield "a number" + " and".join(f"{word}{plainly(end)}" for word, end in ends if end is not None)
    if rule.get("one_of") is not None:
        yield f"one of {', '.join(map(repr, rule['one_of']))}"
    if rule.get("matches") is not None:
        yield f"a text that matches {rule['matches']!r} as a whole"


def _search(policy: CompiledPolicy) -> str:
    settings = policy.search
    if not any(True for _ in charged(policy)):
        return "nothing is enforced, so nothing is searched for"
    if settings.strategy == "cut":
        return "a draft over budget ends the answer (cut)"
    restart = ", then one fresh start under a stricter system text if nothing was shown" if settings.restart else ""
    return (
        f"a draft over budget is replaced ({settings.strategy}): {settings.candidates} candidates of {settings.block} "
        f"tokens, {settings.retries} more rounds{restart}; else the policy's message"
    )


def _messages(messages: Messages) -> Iterator[str]:
    """Which texts there are, which decides, and which stand without being tried."""
    for part, general in (("refusal", messages.refusal), ("closing", messages.closing)):
        yield f"{part}: {', '.join(general)}"
        own = messages.by_hazard.get(part, {})
        yield from (f"{part} where {_called(one)} was denied: {', '.join(own[one])}" for one in messages.ranked(own))
    named = messages.ranked(hazard for own in messages.by_hazard.values() for hazard in own)
    if len(named) > 1:
        yield f"where several were denied, the first of these decides: {', '.join(named)}"
    for one in messages:
        if one.approved is not None:
            yield f"{one.name} stands whatever the budgets say, by {one.approved.owner}: {one.approved.reason}"


def _not_covered(named: Sequence[str]) -> Iterator[str]:
    """Hazards of the taxonomy that nothing limits, or parts of which alone are limited."""
    for hazard in HAZARDS:
        parts = [one for one in named if covers(hazard, one)]
        if not parts:
            yield _called(hazard)
        elif hazard not in parts:
            yield f"{_called(hazard)}, but for {', '.join(dict.fromkeys(parts))}"


def _not_budgeted(policy: CompiledPolicy, named: Sequence[str]) -> Iterator[str]:
    """Hazards that a cost model of a budget scores, and no budget limits."""
    used = {judge_of(policy, name).name for one in policy.budgets for name in one.cost.models()}
    scored = dict.fromkeys(hazard for spec in policy.cost_models if spec.name in used for hazard in spec.hazards)
    yield from (one for one in scored if one not in named and one != "x.tools")


def as_text(found: PolicyMeaning) -> str:
    """For people."""
    lines = [f"policy {found.name} {found.version} ({found.sha256[:12]})", "", *_table(found.budgets), ""]
    for one in found.budgets:
        lines += [f"{one.id}", *(f"  {line}" for line in details(one)), ""]
    sections = (
        ("cost models", found.cost_models),
        ("prompt check", (found.prompt,)),
        ("tools", found.tools or ("no rules",)),
        ("search", (found.search,)),
        ("messages", found.messages),
        ("not covered by any budget", found.not_covered or ["nothing of the taxonomy"]),
        ("only recorded, not enforced", [_called(one) for one in found.only_recorded]),
        ("scored, and limited by no budget", [_called(one) for one in found.not_budgeted]),
        ("where it is written", [one.as_text() for one in found.origins]),
    )
    for title, texts in sections:
        lines += [title, *(f"  {text}" for text in texts), ""] if texts else []
    return "\n".join(lines).rstrip()


def _table(budgets: Sequence[BudgetMeaning]) -> list[str]:
    """Hazard, cost model, budget."""
    head = ("hazard", "cost", "budget", "above", "grants", "most cost", "can be overdrawn", "mode")
    rows = [
        (
            _called(hazard),
            one.cost,
            one.id,
            f"{one.threshold:g}",
            f"{one.granted:g}",
            _most(one, hazard),
            _reached(one, hazard),
            one.mode,
        )
        for one in budgets
        for hazard in one.hazards
    ]
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return [
        "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def _called(hazard: str) -> str:
    return f"{hazard} ({title_of(hazard)})" if title_of(hazard) else hazard


def _most(one: BudgetMeaning, hazard: str = "") -> str:
    most = one.alone.get(hazard, one.most)
    return "any" if most is None else _number(most)


def _reached(one: BudgetMeaning, hazard: str) -> str:
    reached = "NEVER" if not one.overdrawn else "not alone" if hazard in one.alone else "yes"
    return reached + ("" if one.certain else " (assumed)")


def details(one: BudgetMeaning) -> Iterator[str]:
    """A budget in sentences, without its name."""
    weight = f" times {one.weight:g}" if one.weight != 1 else ""
    yield f"of {one.scope}: what scores of {one.cost} have above {one.threshold:g}{weight}, looked at {one.looked_at}"
    limit = f"over {one.granted:g}" if one.granted else "any cost"
    if one.overdrawn:
        yield f"overdrawn ({limit}) by {one.overdrawn}"
        if one.alone:
            yield f"never by scores for {', or for '.join(one.alone)} alone"
    else:
        most = f"an answer costs at most {_most(one)}, which is not over {one.granted:g}"
        yield f"no scores overdraw it: {most}"
    if one.shared and one.mode == "enforce":
        yield f"requests must name the {one.shared}; earlier answers that they bring along are charged, too"
    if one.mode == "shadow":
        yield "in shadow: what it would cost is recorded, and nothing is held back"
    if not one.certain:
        yield "assumed: levels at blocks. What a cost model of kind `python` or `provided` declares is not known here"


def as_dict(found: PolicyMeaning) -> dict[str, Any]:
    """Plain values."""
    return asdict(found)
