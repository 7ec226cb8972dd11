"""Hazards that are named in one place and not in the other, or named almost alike; cost models used for others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Steps, listed, quoted
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.validation.otherwise import chain_of
from ig_guardrail.policy.validation.semantics import budgets, formulas, hazards_scored, model_names, name_spot
from ig_guardrail.types.hazards import ALIASES, EVERY, HAZARDS, covers, spelled_out

ALIKE = 0.8  # of two names; 1: equal
_ALL_WELL = re.compile(
    r"(?i)safe|neutral|normal|benign|clean|ok|okay|none|harmless|ham|legit(?:imate)?|acceptable"
    r"|(?:non|not|no)[-_ ]?(?:toxic|hate|hateful|offensive|abusive|harmful|spam|injection|jailbreak|violation)"
)
_MEANINGS = {meaning: name for name, meaning in HAZARDS.items()}


def hazard_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful about the hazards of cost models and budgets."""
    misspelt = dict(nearly_alike(draft))
    yield from misspelt.values()
    for place, fault in (*unlimited(draft), *unscored(draft)):
        if place not in misspelt and not _pair_of(draft, place, misspelt):
            yield fault
    yield from few_of_all(draft)
    yield from unknown_to_card(draft)
    yield from screens(draft)
    yield from harmless_labels(draft)


def _named(draft: PolicyDraft) -> Iterator[tuple[Steps, str]]:
    """Every place at which a hazard is named: those of cost models, then those of budgets."""
    for name in model_names(draft):
        for index, hazard in enumerate(draft.value("cost_models", name, "hazards")):
            yield ("cost_models", name, "hazards", index), hazard
    for index, budget in budgets(draft):
        if budget["hazards"] != [EVERY]:
            for place, hazard in enumerate(budget["hazards"]):
                yield ("budgets", index, "hazards", place), hazard


def nearly_alike(draft: PolicyDraft) -> Iterator[tuple[Steps, Diagnostic]]:
    """Own hazards whose names are almost those of others, or of the taxonomy."""
    seen: dict[str, Steps] = {}
    for place, hazard in _named(draft):
        own = hazard.partition(".")[2] if hazard.startswith("x.") else ""
        plain = own.replace("_", " ")
        known = own if own in HAZARDS else ALIASES.get(own.upper()) or _MEANINGS.get(plain)
        like = next((other for other in seen if own and other != hazard and _alike(hazard, other)), None)
        if known is not None and hazard not in seen:
            message = f"{quoted(hazard)} is a hazard of its own, apart from {quoted(known)}"
            label = f"the taxonomy has {quoted(known)}: {HAZARDS.get(known, known)}"
            advice = f"write `{known}`, or a name that is further from it"
            yield place, draft.spot(*place).fault("P118", message, label=label, help=advice)
        elif like is not None and hazard not in seen:
            line = draft.spot(*seen[like]).mark.words
            message = f"{quoted(hazard)} and {quoted(like)} are two hazards"
            advice = f"write `{like}`, if it is meant; if both are, let their names differ more"
            spot = draft.spot(*place)
            yield place, spot.fault("P118", message, label=f"{quoted(like)} is on {line}", help=advice)
        seen.setdefault(hazard, place)


def _alike(one: str, other: str) -> bool:
    """Whether two names look like one: a letter more, less, other or elsewhere; parts of a hazard are no such pair."""
    if not other.startswith("x.") or covers(one, other) or covers(other, one):
        return False
    mine, yours = one.removeprefix("x."), other.removeprefix("x.")
    pairs = [*zip(re.split("[._]", mine), re.split("[._]", yours), strict=False)]
    told = any(a != b and min(len(a), len(b)) < 4 for a, b in pairs) or any(char.isdigit() for char in mine + yours)
    return not told and SequenceMatcher(None, mine, yours).ratio() >= ALIKE


def _pair_of(draft: PolicyDraft, place: Steps, misspelt: dict[Steps, Diagnostic]) -> bool:
    """Whether a hazard is told already, as the one that another is nearly."""
    hazard = draft.value(*place)
    return any(_alike(str(draft.value(*other)), hazard) or draft.value(*other) == hazard for other in misspelt)


def unlimited(draft: PolicyDraft) -> Iterator[tuple[Steps, Diagnostic]]:
    """Hazards that cost models score and nothing in the policy limits."""
    used = {
        one for _, formula in formulas(draft) for name in formula.expression.models() for one in chain_of(draft, name)
    }
    asked = draft.value("prompt", "cost") if draft.value("prompt") else None
    limited = set(hazards_scored(draft, asked) or ())
    for _, budget in budgets(draft):
        limited |= set(spelled_out(budget["hazards"], hazards_scored(draft, budget["cost"]) or ()))
    for name in (name for name in model_names(draft) if name in used):
        for index, hazard in enumerate(draft.value("cost_models", name, "hazards")):
            if hazard not in limited:
                place = ("cost_models", name, "hazards", index)
                message = f"{quoted(hazard)} is scored, and no budget limits it"
                advice = f"add `{hazard}` to the `hazards` of a budget, or delete it here"
                spot = draft.spot(*place)
                yield place, spot.fault("P116", message, label="in no budget", help=advice)
                limited.add(hazard)


def unscored(draft: PolicyDraft) -> Iterator[tuple[Steps, Diagnostic]]:
    """Hazards of budgets that none of their cost models scores."""
    for index, budget in budgets(draft):
        scored = hazards_scored(draft, budget["cost"]) or ()
        for place, hazard in enumerate(budget["hazards"] if budget["hazards"] != [EVERY] else ()):
            if not any(covers(hazard, narrow) for narrow in scored):
                able = [name for name in model_names(draft) if hazard in draft.value("cost_models", name, "hazards")]
                add = f"name {quoted(able[0])} in `cost`" if able else "add a cost model that scores it"
                path = ("budgets", index, "hazards", place)
                message = f"no cost model of this budget scores {quoted(hazard)}"
                label = f"they score {listed(scored, 'and')}"
                yield path, draft.spot(*path).fault("P117", message, label=label, help=f"{add}, or delete it here")


def few_of_all(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """`all`, where it stands for a part of the known hazards."""
    limited: set[str] = set()
    for _, budget in budgets(draft):
        limited |= set(spelled_out(budget["hazards"], hazards_scored(draft, budget["cost"]) or ()))
    missing = [name for name in HAZARDS if not any(covers(name, one) for one in limited)]
    for index, budget in budgets(draft):
        if budget["hazards"] == [EVERY] and missing:
            scored = hazards_scored(draft, budget["cost"]) or ()
            message = f"`all` stands for {listed(scored, 'and')} alone"
            label = f"no budget limits {', '.join(missing)}"
            advice = f"write `hazards: [{', '.join(scored)}]`, and add cost models for the others if you need them"
            yield draft.spot("budgets", index, "hazards").fault("P119", message, label=label, help=advice)


def unknown_to_card(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Packaged cost models under hazards that they were not made for. Own hazards, `x.`, are yours to say."""
    for name in model_names(draft):
        kind, artifact = _artifact(draft, name)
        made_for = KINDS[kind].packaged.get(artifact)
        for index, hazard in enumerate(draft.value("cost_models", name, "hazards") if made_for else ()):
            if not hazard.startswith("x.") and not any(covers(known, hazard) for known in made_for or ()):
                message = f"{quoted(artifact)} was not made for {quoted(hazard)}"
                label = f"it scores {listed(made_for or (), 'and')}"
                advice = f"delete {quoted(hazard)} here, and add a cost model that knows it"
                spot = draft.spot("cost_models", name, "hazards", index)
                yield spot.fault("P120", message, label=label, help=advice)


def _artifact(draft: PolicyDraft, name: str) -> tuple[str, str]:
    model = draft.value("cost_models", name)
    return model["kind"], model.get("head") or model.get("model") or ""


def harmless_labels(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Labels and categories that say that all is well, where those of a hazard stand: what is harmless scores high."""
    for name in model_names(draft):
        for key in ("labels", "categories"):
            said = draft.value("cost_models", name, key) or {} if draft.written("cost_models", name, key) else {}
            for hazard, labels in said.items():
                for index, label in enumerate(labels):
                    if _ALL_WELL.fullmatch(label):
                        message = f"{quoted(label)} sounds like a label of harmless texts"
                        where = f"its score counts as {quoted(hazard)}"
                        advice = (
                            f"name the labels of harm, or write another {key.removesuffix('s')} for {quoted(hazard)}"
                        )
                        spot = draft.spot("cost_models", name, key, hazard, index)
                        yield spot.fault("P164", message, label=where, help=advice)


def screens(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Packaged cost models that read questions, where answers are judged."""
    for path, formula in formulas(draft):
        for name, offset in formula.names if path[0] == "budgets" else ():
            for one in chain_of(draft, name):
                kind, artifact = _artifact(draft, one)
                if artifact in KINDS[kind].asking:
                    message = f"{quoted(artifact)} knows what questions ask for, and reads answers here"
                    label = "made for the prompt check"
                    advice = "use it in `prompt`, and another one here, such as `{kind: lexical, model: words, ...}`"
                    yield name_spot(draft, path, name, offset).fault("P121", message, label=label, help=advice)
