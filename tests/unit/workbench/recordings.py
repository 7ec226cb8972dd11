"""Recordings made by hand, of one pattern's or one level's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ig_guardrail.costs.catalog import build_costs
from ig_guardrail.drive.records.recorder import recorded_models
from ig_guardrail.drive.scoring.cost_registry import bind_costs
from ig_guardrail.policy import compile_text
from ig_guardrail.stream.recording import Recording, ScoreTrack
from ig_guardrail.types import CompiledPolicy

TONE = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: tone, version: 1.0.0, owners: [tests@example.org]}
cost_models:
  words: {kind: lexical, model: words, hazards: [hte, x.insult]}
  spam: {kind: pattern, hazards: [x.spam], patterns: ['buy now'], longest_match: 8}
budgets:
  - {id: tone, hazards: [hte], cost: words, threshold: 0.5, budget: 0.1}
  - {id: spam, hazards: [x.spam], cost: spam, threshold: 0.5, every: 8, mode: shadow}
messages:
  refusal: {en: "I'm sorry, I can't help with that. Is there something else I can do for you?"}
  closing: {en: "Let me stop here. Please feel free to ask me something else, and I will be happy to help."}
"""


def policy(text: str = TONE) -> CompiledPolicy:
    made, faults = compile_text(text, "tone.yaml")
    assert made is not None, [fault.message for fault in faults]
    return made


def models(of: CompiledPolicy) -> Any:
    """What its cost models declare, and their hashes."""
    return recorded_models(bind_costs(of, build_costs(of.cost_models, engine=None, base_dir=None)))


POLICY = policy()
MODELS = models(POLICY)


def recording(levels: Sequence[float], spam: Sequence[float] = (), **other: Any) -> Recording:
    """An answer of 16 tokens for each level but the last, which is that of its end, one token later."""
    tokens = 16 * (len(levels) - 1) + 1
    points = tuple((16 * (place + 1), False, level) for place, level in enumerate(levels[:-1]))
    events = list(spam) or [0.0] * (tokens // 8 + 1)
    spams = tuple((8 * (place + 1), False, score) for place, score in enumerate(events[:-1]))
    values: dict[str, Any] = {
        "at": "2026-11-29T12:00:00+00:00",
        "policy": {"name": "tone", "version": "1.0.0", "sha256": POLICY.sha256},
        "engine": {"name": "toy", "sha256": "", "numerics": "", "language": ""},
        "cost_models": MODELS,
        "outcome": "completed",
        "reason": "",
        "language": "en",
        "tokens": tokens,
        "released": tokens,
        "ended": True,
        "searched": False,
        "tracks": (
            ScoreTrack("words", ("hte",), "block", 16, (*points, (tokens, True, levels[-1]))),
            ScoreTrack("spam", ("x.spam",), "block", 8, (*spams, (tokens, True, events[-1]))),
        ),
    }
    return Recording(**{**values, **other})
