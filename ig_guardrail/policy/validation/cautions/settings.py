"""Settings that are valid, and switch something off or are not read."""

from __future__ import annotations

from collections.abc import Iterator

from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, quoted
from ig_guardrail.policy.draft import PolicyDraft, search_settings, strategy_of
from ig_guardrail.policy.language.search import PLAIN
from ig_guardrail.policy.validation.cautions.effects import endpoint
from ig_guardrail.policy.validation.semantics import model_names

OF_SEARCHES = ("mode", "candidates", "beams", "retries", "trigger", "accept", "penalty", "shortest", "steer")
EXCHANGING = ("verifier", "token_verifier")  # strategies that read `swaps`
BRIEF = {True: 10, False: 50}  # milliseconds, of quick kinds and of others


def setting_cautions(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """What is doubtful in the settings."""
    yield from not_read(draft)
    yield from never_needed(draft)
    yield from no_fallback(draft)
    yield from no_choice(draft)
    yield from brief(draft)
    yield from unowned(draft)
    yield from unguarded(draft)


def not_read(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Settings of a search where nothing is searched for."""
    strategy = strategy_of(draft)
    for key in OF_SEARCHES:
        if strategy in PLAIN and draft.written("search", key):
            message = f"`{key}` is not read"
            label = f"the strategy is `{strategy}`, which never searches"
            advice = "delete it, or write `output: {on_exceed: [search, end]}`"
            yield draft.key_spot("search", key).fault("P143", message, label=label, help=advice)
    if strategy not in EXCHANGING and draft.written("search", "swaps"):
        label = f"the strategy is `{strategy}`, which exchanges no words"
        advice = "write `strategy: verifier`, or delete it"
        yield draft.key_spot("search", "swaps").fault("P143", "`swaps` is not read", label=label, help=advice)


def never_needed(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Substitutes of cost models that serve beside every model, and in every installation."""
    for name in model_names(draft):
        kind = draft.value("cost_models", name, "kind")
        if KINDS[kind].quick and draft.written("cost_models", name, "otherwise"):
            label = f"a cost model of kind `{kind}` serves everywhere"
            advice = "delete it; what a failure does, `on_error` says"
            spot = draft.key_spot("cost_models", name, "otherwise")
            yield spot.fault("P143", "`otherwise` is not read", label=label, help=advice)


def no_fallback(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Substitutes beside an endpoint, which are read as what steps in while that is down."""
    for name in model_names(draft):
        other = draft.value("cost_models", name, "otherwise")
        asked = next((one for one in (name, other) if other is not None and endpoint(draft, one) is not None), None)
        if asked is None:
            continue
        closed = (draft.value("cost_models", asked, "on_error") or "closed") == "closed"
        follows = "nothing more is shown" if closed else "the answer goes on without it"
        steps = f"{quoted(other)} does not step in" if asked == name else "nothing steps in"
        message = f"{steps} while {quoted(asked)} fails"
        label = f"it is chosen at start-up alone; where {endpoint(draft, asked)} fails or is slow, {follows}"
        both = name if asked == other else other
        advice = (
            f"to have {quoted(both)} judge meanwhile, name both in each budget, `cost: max({asked}, {both})`, and "
            f"write `on_error: open` at {quoted(asked)}"
        )
        yield draft.spot("cost_models", name, "otherwise").fault("P165", message, label=label, help=advice)


def no_choice(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Searches that have next to nothing to choose from."""
    if strategy_of(draft) != "inference_guard":
        return
    settings = search_settings(draft)
    weak = {
        "candidates": (1, "a search draws one continuation at a time", "write `candidates: 4` or more"),
        "retries": (0, "an answer ends as soon as one round finds nothing safe", "write `retries: 2`"),
        "hold": (0, "nothing that was said can be replaced", f"write `hold: {settings['block']}`"),
    }
    for key, (value, message, advice) in weak.items():
        if draft.written("search", key) and settings[key] == value:
            label = "this leaves the search little to do"
            yield draft.spot("search", key).fault("P142", message, label=label, help=advice)


def brief(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Time limits that scoring does not keep on an ordinary machine."""
    for name in model_names(draft):
        model = draft.value("cost_models", name)
        least = BRIEF[KINDS[model["kind"]].quick]
        if model.get("timeout_ms", least) < least:
            closed = model.get("on_error", "closed") == "closed"
            message = f"cost model {quoted(name)} has hardly any time to score"
            label = f"at a failure {'nothing more is shown' if closed else 'the answer goes on without it'}"
            advice = "write `timeout_ms: 2000`, which bounds only what takes too long"
            yield draft.spot("cost_models", name, "timeout_ms").fault("P135", message, label=label, help=advice)


def unowned(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Lists of owners without one."""
    if draft.written("metadata", "owners") and not draft.value("metadata", "owners"):
        spot = draft.spot("metadata", "owners")
        yield spot.fault("P136", "nobody owns this policy", help="name who answers for it: `owners: [you@example.org]`")


def unguarded(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """Policies that let whoever asks switch the guard off."""
    if draft.value("allow_unguarded"):
        message = "whoever asks may switch the guard off"
        advice = "delete it; for a comparison, run another policy"
        label = "strategy `none` is allowed"
        yield draft.spot("allow_unguarded").fault("P144", message, label=label, help=advice)
