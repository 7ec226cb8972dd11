"""Warnings: policies that can be used, but may not do what their author thinks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Steps, listed, quoted
from ig_guardrail.policy.draft import PolicyDraft, search_settings
from ig_guardrail.policy.expression import Formula
from ig_guardrail.policy.language.budgets import BUDGET, COST_MODEL
from ig_guardrail.policy.ranges import SCORES, SILENT, Interval, as_written, counting, range_of
from ig_guardrail.policy.validation.otherwise import chain_of
from ig_guardrail.policy.validation.semantics import budgets, formulas, hazards_scored, model_names, name_spot
from ig_guardrail.types import Expression
from ig_guardrail.types.hazards import EVERY, covers, spelled_out


def effect_cautions(draft: PolicyDraft) -> tuple[Diagnostic, ...]:
    """Every warning about a draft without errors."""
    return tuple(
        chain.from_iterable(
            check(draft) for check in (unused, fail_open, unenforced, late, free, deaf, remote, recited)
        )
    )


def unused(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Cost models that no expression names, and that serve instead of none that one names."""
    used = {one for _, formula in formulas(draft) for name, _ in formula.names for one in chain_of(draft, name)}
    for name in model_names(draft):
        if name not in used:
            advice = "name it in a budget's `cost`, or delete it"
            yield draft.key_spot("cost_models", name).fault(
                "P101", f"cost model {quoted(name)} is not used", help=advice
            )


def fail_open(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Cost models whose failure lets text through."""
    for name in model_names(draft):
        if draft.value("cost_models", name, "on_error") == "open":
            spot = draft.spot("cost_models", name, "on_error")
            advice = "write `on_error: closed`, unless another cost model covers the same hazards"
            yield spot.fault("P102", f"cost model {quoted(name)} fails open", help=advice)


def unenforced(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Policies all of whose budgets are in shadow mode."""
    if all(budget.get("mode") == "shadow" for _, budget in budgets(draft)):
        advice = "to enforce a budget, write `mode: enforce`"
        spot = draft.key_spot("budgets")
        yield spot.fault("P103", "nothing is enforced", label="every budget is in shadow mode", help=advice)


def late(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Charge points so far apart that text waits for them longer than `hold` says."""
    settings = search_settings(draft)
    block, hold = settings["block"], settings["hold"]
    for index, budget in budgets(draft):
        every = budget.get("every", BUDGET.fields["every"].default)
        waits = block % every != 0 and every - 1 > hold
        if waits and budget.get("mode") != "shadow":
            written = draft.written("budgets", index, "every")
            spot = draft.spot("budgets", index, "every") if written else draft.spot("budgets", index)
            label = f"up to {every - 1} tokens wait, though `hold` is {hold}"
            advice = f"write an `every` that divides the block of {block} tokens, or raise `hold` to {every - 1}"
            yield spot.fault("P104", "text waits for charge points that are far apart", label=label, help=advice)


def free(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Thresholds that no score can pass."""
    for path, formula in formulas(draft):
        top, limit = reach(draft, path, formula).high, threshold(draft, path)
        if top <= limit:
            whose = "the prompt check can never act" if path[0] == "prompt" else "this budget can never be charged"
            advice = (
                f"write a threshold below {float(top):g}"
                if top
                else "name a cost model that scores the budget's hazards"
            )
            spot = draft.spot(*path[:-1], "threshold")
            yield spot.fault("P105", whose, label=f"`cost` is at most {float(top):g}", help=advice)
        elif path[0] == "budgets" and not _weighs_by_others(formula.expression):
            yield from _free_alone(draft, path, formula, limit)


def _free_alone(draft: PolicyDraft, path: Steps, formula: Formula, limit: Fraction) -> Iterator[Diagnostic]:
    """Hazards of a budget that no score of theirs overdraws, since a factor keeps it below the threshold."""
    scored = hazards_scored(draft, formula) or ()
    wanted = spelled_out(draft.value(*path[:-1], "hazards"), scored)
    tops = {one: reach(draft, path, formula, one).high for one in scored if one in wanted}
    short = [one for one, top in tops.items() if top <= limit]
    if short:
        top = max(tops[one] for one in short)
        message = f"{listed(short, 'and')} alone can never be charged to this budget"
        label = f"for {'it' if len(short) == 1 else 'them'} alone, `cost` is at most {float(top):g}"
        advice = "write `max(...)` without a factor, or a budget of its own for each cost model"
        yield draft.spot(*path[:-1], "threshold").fault("P105", message, label=label, help=advice)


def _weighs_by_others(expression: Expression) -> bool:
    """Whether it holds `min` or `mean`, of which P112 tells."""
    return expression.op in ("min", "mean") or any(map(_weighs_by_others, expression.args))


def reach(draft: PolicyDraft, path: Steps, formula: Formula, alone: str | None = None) -> Interval:
    """The scores that a cost expression can give where it stands; alone: a hazard, where nothing else is scored."""
    ranges = {}
    for name, heard in heard_of(draft, path, formula):
        model = draft.value("cost_models", name)
        scale = model.get("scale")
        asked = heard and (alone is None or alone in model["hazards"])
        ranges[name] = counting(scale["from"], scale["to"]) if asked and scale else SCORES if asked else SILENT
    return range_of(formula.expression, ranges).score


def threshold(draft: PolicyDraft, path: Steps) -> Fraction:
    """The threshold of an expression at a path, as it is written."""
    return as_written(draft.value(*path[:-1], "threshold"))


def heard_of(draft: PolicyDraft, path: Steps, formula: Formula) -> Iterator[tuple[str, bool]]:
    """For each cost model of an expression, whether it scores a hazard that the budget limits."""
    wanted = draft.value(*path[:-1], "hazards") or [EVERY]
    for name in formula.expression.models():
        scored = draft.value("cost_models", name, "hazards")
        heard = wanted == [EVERY] or any(covers(broad, narrow) for broad in wanted for narrow in scored)
        yield name, heard


def deaf(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Cost models named in a budget none of whose hazards they score."""
    for path, formula in formulas(draft):
        charged = reach(draft, path, formula).high > threshold(draft, path)
        silent = {name for name, heard in heard_of(draft, path, formula) if not heard and charged}
        for name, offset in formula.names:
            if name in silent:
                label = f"it scores {listed(draft.value('cost_models', name, 'hazards'), 'and')} only"
                message = f"cost model {quoted(name)} scores no hazard of this budget"
                advice = "add its hazards to the budget, or leave it out of `cost`"
                yield name_spot(draft, path, name, offset).fault("P106", message, label=label, help=advice)


def remote(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Cost models that send answers to another machine; `http://` addresses are of this one."""
    for name in model_names(draft):
        address = endpoint(draft, name)
        if address is not None and not address.startswith("http://"):
            label = f"to {address}"
            advice = "make sure that they may be shared, or write the `base_url` of an endpoint on this machine"
            spot = draft.key_spot("cost_models", name)
            yield spot.fault("P107", f"cost model {quoted(name)} sends answers away", label=label, help=advice)


def endpoint(draft: PolicyDraft, name: str) -> str | None:
    """The address at which a cost model is asked; None for one that runs in this process."""
    field = COST_MODEL.sections[draft.value("cost_models", name, "kind")].fields.get("base_url")
    address: str | None = draft.value("cost_models", name, "base_url") or (field.default if field is not None else None)
    return address


def recited(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Runs whose beginning may be shown before they are long enough to be denied."""
    hold, usual = search_settings(draft)["hold"], COST_MODEL.sections["provenance"].fields["hard"].default
    for name in model_names(draft):
        hard = draft.value("cost_models", name, "hard") or usual
        if draft.value("cost_models", name, "kind") == "provenance" and hold < hard - 1:
            label = f"`hard` is {hard} tokens, `hold` is {hold}"
            advice = f"write `hold: {hard - 1}` or more, to have the whole of a recited run replaced"
            spot = draft.key_spot("cost_models", name)
            yield spot.fault("P108", "the beginning of a run may be shown", label=label, help=advice)
