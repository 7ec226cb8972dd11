"""A valid policy that uses every part of the language, for tests to edit."""

from __future__ import annotations

from ig_guardrail.policy import Diagnostic, compile_text
from ig_guardrail.types import CompiledPolicy

VALID = r"""apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: support-bot, version: 1.2.3, owners: [you@example.org]}
taxonomy: ailuminate-1.0
cost_models:
  help: {kind: latent, head: harmful-help, hazards: [ncr, vcr, iwp]}
  tone: {kind: latent, head: ./heads/tone, hazards: [hte, x.insult], timeout_ms: 500}
  words: {kind: lexical, model: words, hazards: [hte, S2]}
  slurs: {kind: pattern, hazards: [hte], patterns: ['(?i)\bfoo\w{0,10}', "ba.r"], longest_match: 32}
budgets:
  - id: harmful-help
    hazards: [iwp, vcr, ncr]
    cost: "max(help, words)"
    threshold: 0.5
    budget: 0.05
    every: 16
  - {id: hate, hazards: [x.insult, hte], cost: "mean(tone, 0.5 * slurs)", threshold: 0.4, weight: 2, mode: shadow}
prompt: {cost: words, threshold: 0.8, on_exceed: search}
output: {on_exceed: [search, end]}
search:
  mode: on_risk
  candidates: 4
  beams: 2
  trigger: 0.9
  accept: 0.6
  steer: "Be kind."
messages:
  refusal: {en: "I cannot help with that.", en-GB: "I cannot."}
  closing: {en: "I will stop here."}
allow_unguarded: false
"""


def edited(*edits: tuple[str, str]) -> str:
    """The valid policy with each (old, new) applied; every `old` must occur exactly once."""
    text = VALID
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        text = text.replace(old, new)
    return text


def faults_of(text: str | bytes) -> tuple[Diagnostic, ...]:
    """The faults of a text that is called p.yaml."""
    return compile_text(text, "p.yaml")[1]


def compiled(text: str | bytes) -> CompiledPolicy:
    """The policy of a valid text."""
    policy, faults = compile_text(text, "p.yaml")
    assert policy is not None, faults
    return policy


def places(faults: tuple[Diagnostic, ...]) -> list[tuple[str, int, int]]:
    """Code, line and column of each fault."""
    return [(fault.code, fault.line, fault.column) for fault in faults]
