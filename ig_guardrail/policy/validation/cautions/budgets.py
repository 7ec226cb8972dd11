"""Budgets that cannot be overdrawn, that everything overdraws, or that say again what another says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from ig_guardrail.budget import EXACT, exact
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, Steps, listed, quoted
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.expression import Formula, written
from ig_guardrail.policy.language.budgets import BUDGET
from ig_guardrail.policy.ranges import as_written
from ig_guardrail.policy.validation.cautions.effects import reach, threshold
from ig_guardrail.policy.validation.semantics import budgets, formulas, hazards_scored, name_spot
from ig_guardrail.policy.yaml.tree import Table
from ig_guardrail.types import Expression
from ig_guardrail.types.hazards import spelled_out

LONGEST_ANSWER = 4096  # tokens; an answer has 256 unless more are asked for
MOST_MATCHES = 20
LOW, HIGH = Fraction(1, 10), Fraction(97, 100)
SCORED = ("latent", "lexical", "encoder")  # kinds with a score for every text, harmless ones too


def budget_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful in each budget by itself, and beside the others."""
    for path, formula in formulas(draft):
        yield from certain(draft, path, formula)
        yield from mixed(draft, path, formula.expression, formula)
    for index, _ in budgets(draft):
        yield from unreachable(draft, index)
        yield from forgetful(draft, index)
        yield from spends_nothing(draft, index)
    yield from careless(draft)
    yield from repeated(draft)


def filled(draft: PolicyDraft, index: int) -> dict[str, Any]:
    """A budget with its defaults written out."""
    return {**BUDGET.defaults(), **draft.value("budgets", index)}


def certain(draft: PolicyDraft, path: Steps, formula: Formula) -> Iterator[Diagnostic]:
    """Expressions over a threshold whatever is said, and thresholds that harmless texts pass."""
    scores, limit = reach(draft, path, formula), threshold(draft, path)
    low, high = scores.low, scores.high
    whose = "the prompt check" if path[0] == "prompt" else "this budget"
    kinds = {draft.value("cost_models", name, "kind") for name in formula.expression.models()}
    spot = draft.spot(*path[:-1], "threshold")
    if low > limit:
        label = f"`cost` is at least {float(low):g}"
        advice = "leave the number out of `cost`, or write it as a factor, such as `0.5 * help`"
        message = f"{whose} is over its threshold whatever is said"
        yield draft.spot(*path).fault("P110", message, label=label, help=advice)
    elif high > limit and limit < LOW * high and kinds & set(SCORED):
        label = f"harmless texts score above {float(limit):g} too"
        ban = "" if path[0] == "prompt" else ", and `budget: 0` for a ban"
        advice = f"write a threshold near 0.5{ban}"
        message = f"nearly everything passes the threshold of {whose}"
        yield spot.fault("P111", message, label=label, help=advice)
    elif high == 1 > limit >= HIGH and kinds <= set(SCORED) and "x-calibrated" not in _keys(draft, path[:-1]):
        label = "lower is stricter; the worst texts score 0.7 to 0.99"
        message = f"hardly anything passes the threshold of {whose}"
        advice = "write a threshold near 0.5, or have it set by `ig-guardrail policy calibrate`"
        yield spot.fault("P163", message, label=label, help=advice)


def _keys(draft: PolicyDraft, path: Steps) -> set[str]:
    """The keys that are written in a mapping, those for readers alone too."""
    tree = draft.nodes[path]
    return {entry.key.text for entry in tree.entries} if isinstance(tree, Table) else set()


def careless(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """An `accept` that leaves so little of a threshold that harmless texts are over it."""
    if not draft.written("search", "accept"):
        return
    share = draft.value("search", "accept")
    for path, formula in formulas(draft):
        limit, kinds = threshold(draft, path), {draft.value("cost_models", one, "kind") for one, _ in formula.names}
        left = as_written(share) * limit
        if path[0] == "budgets" and kinds & set(SCORED) and left < LOW <= limit:
            message = "nearly everything is over what `accept` leaves of a threshold"
            label = f"of {float(limit):g} it leaves {float(left):g}, and harmless texts score above that too"
            advice = "write `accept: 0.5`: lower is stricter, and 1 leaves the whole threshold"
            yield draft.spot("search", "accept").fault("P111", message, label=label, help=advice)
            return


def mixed(draft: PolicyDraft, path: Steps, expression: Expression, formula: Formula) -> Iterator[Diagnostic]:
    """`min` and `mean` of cost models for different hazards, where harm of one kind needs another to count."""
    for arg in expression.args:
        yield from mixed(draft, path, arg, formula)
    if expression.op not in ("min", "mean"):
        return
    wanted = draft.value(*path[:-1], "hazards")
    heard: dict[str, set[str]] = {}
    for name in dict.fromkeys(name for arg in expression.args for name in arg.models()):
        scored = draft.value("cost_models", name, "hazards")
        heard[name] = set(spelled_out(wanted, scored)) & set(scored) if wanted else set(scored)
    named = {name: own for name, own in heard.items() if own}
    apart = [(a, b) for a in named for b in named if a < b and not named[a] & named[b]]
    if apart and len(named) == len(heard):
        first, second = apart[0]
        offset = next(offset for name, offset in formula.names if name == second)
        does = "only where both are high" if expression.op == "min" else "at half its score"
        label = f"{listed(sorted(named[second]), 'and')} here, {listed(sorted(named[first]), 'and')} in {quoted(first)}"
        advice = f"write `max({first}, {second})`, or a budget for each"
        message = f"`{expression.op}` over different hazards lets each count {does}"
        yield name_spot(draft, path, second, offset).fault("P112", message, label=label, help=advice)


def unreachable(draft: PolicyDraft, index: int) -> Iterator[Diagnostic]:
    """Budgets that no answer, and no conversation, can overdraw."""
    budget, path = filled(draft, index), ("budgets", index, "cost")
    excess = reach(draft, path, budget["cost"]).high - threshold(draft, path)
    declared = [KINDS[draft.value("cost_models", name, "kind")].declares for name in budget["cost"].expression.models()]
    if excess <= 0 or None in declared or budget["budget"] == 0:
        return
    granularity, readings = {one.granularity for one in declared if one}, {one.reading for one in declared if one}
    each = as_written(budget["weight"]) * excess
    events = readings == {"event"}
    step = 1 if "token" in granularity else budget["every"]
    once = not events and budget["accumulate"] == "max"
    most = each if once else each * Fraction(charges(step, budget["discount"]))
    turns = _turns(budget)
    spot = draft.spot("budgets", index, "budget")
    if turns is not None and most * turns <= as_written(budget["budget"]):
        over = _over(budget, once, step)
        label = f"{over} costs at most {_number(most * turns)}"
        advice = f"write a `budget` below {_number(most * turns)}; 0 is a ban"
        yield spot.fault("P109", "this budget cannot be overdrawn", label=label, help=advice)
    elif events and budget["scope"] == "response" and each * MOST_MATCHES <= as_written(budget["budget"]):
        needed = int(as_written(budget["budget"]) / each) + 1
        label = f"a match costs {_number(each)}, so {needed} charge points with one are needed"
        advice = "write `budget: 0` for a ban, or what the matches that you allow cost"
        yield spot.fault("P109", "this budget is hardly ever overdrawn", label=label, help=advice)


def charges(step: int, discount: float) -> Decimal:
    """What the charge points of the longest answer count, together, where each is at the highest."""
    with localcontext(EXACT):
        gamma, points = exact(discount), LONGEST_ANSWER // step
        end = gamma ** (LONGEST_ANSWER - 1)
        if gamma == 1:
            return Decimal(points + 1)
        ratio = gamma**step
        return gamma ** (step - 1) * (1 - ratio**points) / (1 - ratio) + end


def _turns(budget: Mapping[str, Any]) -> Fraction | None:
    """How many times what one answer costs a budget may have to bear; None: any number."""
    if budget["scope"] == "response":
        return Fraction(1)
    decay, window = as_written(budget["decay"]), budget["window"]
    if budget["scope"] == "tool" or (decay == 1 and not window):
        return None
    if decay == 1:
        return Fraction(window)
    return (1 - decay**window) / (1 - decay) if 0 < window <= 64 else 1 / (1 - decay)


def _over(budget: Mapping[str, Any], once: bool, step: int) -> str:
    if budget["scope"] != "response":
        return "all that a tenant is answered" if budget["scope"] == "tenant" else "a conversation"
    return "an answer" if once else f"an answer of {LONGEST_ANSWER} tokens, {LONGEST_ANSWER // step + 1} charge points,"


def _number(value: Fraction) -> str:
    return f"{float(value):.4g}"


def forgetful(draft: PolicyDraft, index: int) -> Iterator[Diagnostic]:
    """Budgets over several turns that keep next to nothing of a turn."""
    budget = filled(draft, index)
    path = ("budgets", index)
    advice = "write `scope: response`, or let it remember: `decay: 0.8`, `window: 20`"
    if budget["window"] == 1:
        message = "this budget forgets each turn before the next"
        yield draft.spot(*path, "window").fault("P115", message, label="only the turn itself counts", help=advice)
    elif budget["decay"] <= LOW and draft.written(*path, "decay"):
        message = "this budget forgets nearly all of a turn before the next"
        label = f"{budget['decay']:.2%} of a cost is left one turn later"
        yield draft.spot(*path, "decay").fault("P115", message, label=label, help=advice)


def spends_nothing(draft: PolicyDraft, index: int) -> Iterator[Diagnostic]:
    """Bans that say how what was spent of them counts: what costs anything is denied, and so nothing is ever spent."""
    budget = filled(draft, index)
    if budget["budget"] or budget["mode"] == "shadow":
        return
    for key in ("weight", "discount", "accumulate", "decay", "window"):
        if budget[key] != BUDGET.fields[key].default:
            message, label = f"`{key}` is not read", "of a ban (`budget: 0`) nothing is ever spent"
            advice = (
                f"delete it, or write a `budget` above 0; now a score above {budget['threshold']:g} is denied at once"
            )
            yield draft.key_spot("budgets", index, key).fault("P143", message, label=label, help=advice)


def repeated(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Budgets that are never the first to be overdrawn, since another one is at least as strict."""
    told = [(index, filled(draft, index)) for index, _ in budgets(draft)]
    for index, budget in told:
        for other, strict in told:
            if index == other or not _covers(draft, strict, budget):
                continue
            same = _covers(draft, budget, strict)
            if same and other > index:
                continue
            line = draft.spot("budgets", other).mark.words
            if same:
                twin = f"budgets {quoted(strict['id'])} and {quoted(budget['id'])} are the same"
                label, message = f"as {quoted(strict['id'])}, {line}", twin
                yield _id(draft, index).fault("P113", message, label=label, help="delete one of the two")
            else:
                message = f"budget {quoted(budget['id'])} is never overdrawn before {quoted(strict['id'])}"
                label = f"{quoted(strict['id'])}, {line}, is at least as strict in all it says"
                advice = "delete it, or make it stricter in what it is for"
                yield _id(draft, index).fault("P114", message, label=label, help=advice)
            break
        else:
            yield from _never_filled(draft, index, budget, told)


def _id(draft: PolicyDraft, index: int) -> Spot:
    return draft.spot("budgets", index, "id")


def _covers(draft: PolicyDraft, strict: Mapping[str, Any], loose: Mapping[str, Any]) -> bool:
    """Whether `strict` is overdrawn wherever `loose` is, whatever is said."""
    if strict["mode"] == "shadow" and loose["mode"] == "enforce":
        return _alike(draft, strict, loose) and strict["budget"] == loose["budget"]
    return (
        _charges_more(draft, strict, loose)
        and strict["budget"] <= loose["budget"]
        and _lasts(strict, loose)
        and strict["mode"] in ("enforce", loose["mode"])
    )


def _alike(draft: PolicyDraft, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (
        _charges_more(draft, one, other)
        and _charges_more(draft, other, one)
        and _lasts(one, other)
        and _lasts(other, one)
    )


def _charges_more(draft: PolicyDraft, strict: Mapping[str, Any], loose: Mapping[str, Any]) -> bool:
    """Whether each answer costs at least as much of `strict`."""
    whole, part = strict["cost"].expression, loose["cost"].expression
    options = [_ordered(whole), *(map(_ordered, whole.args) if whole.op == "max" else ())]
    return (
        _ordered(part) in options
        and _hazards(draft, loose) <= _hazards(draft, strict)
        and strict["threshold"] <= loose["threshold"]
        and strict["weight"] >= loose["weight"]
        and strict["discount"] >= loose["discount"]
        and strict["accumulate"] in ("sum", loose["accumulate"])
        and loose["every"] % strict["every"] == 0
    )


def _ordered(expression: Expression) -> str:
    """An expression in one spelling, whatever the order of its parts."""
    if not expression.args:
        return written(expression)
    return f"{expression.op}({', '.join(sorted(map(_ordered, expression.args)))})"


def _lasts(strict: Mapping[str, Any], loose: Mapping[str, Any]) -> bool:
    """Whether `strict` adds up at least what `loose` does."""
    if (strict["scope"], loose["scope"]) in (("conversation", "response"), ("tenant", "response")):
        return True
    remembers = strict["window"] == 0 or (loose["window"] and strict["window"] >= loose["window"])
    same = strict["scope"] == loose["scope"] and strict["tool"] == loose["tool"]
    return bool(same and remembers and strict["decay"] >= loose["decay"])


def _hazards(draft: PolicyDraft, budget: Mapping[str, Any]) -> set[str]:
    scored = hazards_scored(draft, budget["cost"]) or ()
    return set(spelled_out(budget["hazards"], scored)) & set(scored)


def _never_filled(
    draft: PolicyDraft, index: int, budget: Mapping[str, Any], told: list[tuple[int, dict[str, Any]]]
) -> Iterator[Diagnostic]:
    """Conversations that cannot overdraw what all their answers together may spend."""
    turns = _turns(budget)
    if budget["scope"] != "conversation" or turns is None:
        return
    for other, each in told:
        limited = each["scope"] == "response" and each["mode"] == "enforce" and _charges_more(draft, each, budget)
        most = as_written(each["budget"]) * turns
        if limited and other != index and most <= as_written(budget["budget"]):
            message = "this budget cannot be overdrawn"
            label = f"{quoted(each['id'])} lets an answer cost {each['budget']:g}, a conversation {_number(most)}"
            advice = f"write a `budget` below {_number(most)}, or remember more turns"
            spot = draft.spot("budgets", index, "budget") if draft.written("budgets", index, "budget") else None
            yield (spot or _id(draft, index)).fault("P109", message, label=label, help=advice)
            return
