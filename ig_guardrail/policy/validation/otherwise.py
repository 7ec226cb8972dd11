"""Whether what serves instead of a cost model can: it is declared, scores the same hazards, and is no circle."""

from __future__ import annotations

from collections.abc import Iterator

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, clipped, listed, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft


def substitutes(draft: PolicyDraft) -> Iterator[Diagnostic]:
    """The faults of all `otherwise`."""
    models = draft.value("cost_models") or {}
    for name in models:
        other = draft.value("cost_models", name, "otherwise")
        if other is None:
            continue
        spot = draft.spot("cost_models", name, "otherwise")
        if other not in models:
            close = suggest(other, [one for one in models if one != name])
            missing = f"declare it under `cost_models`; declared: {', '.join(map(clipped, models))}"
            advice = f"did you mean {quoted(close)}?" if close else missing
            yield spot.fault("P023", f"there is no cost model {quoted(other)}", label="not declared", help=advice)
        elif name in chain_of(draft, other):
            message = f"{quoted(other)} cannot serve instead of {quoted(name)}"
            advice = "end the chain with a cost model that needs neither a certain model nor an extra"
            yield spot.fault("P043", message, label="each waits for the other", help=advice)
        else:
            yield from _of_other_hazards(draft, name, other)


def chain_of(draft: PolicyDraft, name: str) -> tuple[str, ...]:
    """A cost model and those that serve instead of it, in order, each once."""
    found: dict[str, None] = {}
    step: str | None = name
    while step is not None and step not in found:
        found[step] = None
        step = draft.value("cost_models", step, "otherwise")
    return tuple(found)


def _of_other_hazards(draft: PolicyDraft, name: str, other: str) -> Iterator[Diagnostic]:
    own, others = (draft.value("cost_models", one, "hazards") for one in (name, other))
    if own and others and None not in own and None not in others and set(own) != set(others):
        spot = draft.spot("cost_models", name, "otherwise")
        message = f"{quoted(other)} cannot serve instead of {quoted(name)}"
        label = f"it scores {listed(others, 'and')}, not {listed(own, 'and')}"
        advice = "write the same `hazards` for both: a budget would mean something else where the other serves"
        yield spot.fault("P043", message, label=label, help=advice)
