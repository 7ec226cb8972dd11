"""Rule pages P101-P108: policies that work, but perhaps not as meant. Each is (title, why, example, instead)."""

from __future__ import annotations

PAGES: dict[str, tuple[str, str, str, str]] = {
    "P101": (
        "a cost model is not used",
        "it costs time to load and judges nothing",
        "cost_models: {help: {...}, tone: {...}}\nbudgets: [{cost: help, ...}]",
        "budgets: [{cost: max(help, tone), ...}]",
    ),
    "P102": (
        "a cost model fails open",
        "when it fails or is too slow, the answer goes on without its judgement; receipts say so, users do not see it",
        "on_error: open",
        "on_error: closed",
    ),
    "P103": (
        "nothing is enforced",
        "in shadow mode costs are recorded, and no answer is ever held back",
        "budgets: [{mode: shadow, ...}]",
        "budgets: [{mode: enforce, ...}]",
    ),
    "P104": (
        "text waits longer than `hold` says",
        "text is released only up to the last charge point that was passed, so wide charge points delay a stream",
        "budgets: [{every: 64, ...}]\nsearch: {block: 16, hold: 16}",
        "budgets: [{every: 16, ...}]",
    ),
    "P105": (
        "a threshold that no score can pass",
        "only what lies above the threshold counts, and scores end at 1 or, with a factor, below it",
        "cost: 0.5 * help\nthreshold: 0.6",
        "cost: help\nthreshold: 0.6",
    ),
    "P106": (
        "a cost model scores none of a budget's hazards",
        "it takes part in the expression with score 0 only",
        "tone: {hazards: [hte], ...}\n- {hazards: [ncr], cost: max(help, tone), ...}",
        "- {hazards: [ncr, hte], cost: max(help, tone), ...}",
    ),
    "P107": (
        "a cost model sends answers to another machine",
        "whoever runs it can read every draft, those that are never shown too, and what is asked where the prompt "
        "check uses it",
        "hosted: {kind: openai, model: omni-moderation-latest, ...}",
        "hosted: {kind: openai, model: omni-moderation-latest, base_url: http://127.0.0.1:8000/v1, ...}",
    ),
    "P108": (
        "the beginning of a recited run may be shown",
        "a run of `hard` tokens is never shown whole, but what was shown of it before the last one stays, and the "
        "search has to go on from there",
        "origin: {kind: provenance, hard: 12, ...}\nsearch: {hold: 4}",
        "origin: {kind: provenance, hard: 12, ...}\nsearch: {hold: 16}",
    ),
}
