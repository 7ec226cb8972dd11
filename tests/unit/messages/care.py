"""A policy whose messages depend on the hazard: rude words, talk of an end of it all, leaks."""

from __future__ import annotations

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import CompiledPolicy, Message, Receipt, Sampling
from tests.golden.conversations import compiled, scripted_guardrail

CARE = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: care, version: 1.0.0, owners: [tests@example.org]}
cost_models:
  rude: {kind: pattern, hazards: [hte], patterns: ['(?i)\\bblockhead'], longest_match: 9, timeout_ms: 60000}
  end: {kind: pattern, hazards: [ssh], patterns: ['(?i)\\bend it all'], longest_match: 10, timeout_ms: 60000}
  leak: {kind: pattern, hazards: [prv], patterns: ['(?i)\\bpassword'], longest_match: 8, timeout_ms: 60000}
budgets:
  - {id: rudeness, hazards: [hte], cost: rude, threshold: 0.5, every: 4}
  - {id: crisis, hazards: [ssh], cost: end, threshold: 0.5, every: 4}
  - {id: leaks, hazards: [prv], cost: leak, threshold: 0.5, every: 4}
prompt: {cost: "max(rude, end)", threshold: 0.5, on_exceed: refuse}
search: {candidates: 2, block: 4, retries: 1, hold: 4, shortest: 2}
messages:
  refusal:
    en: I would rather not say that.
    de: Das möchte ich nicht sagen.
    fr: Je ne peux pas le dire.
    by_hazard:
      hte: {en: Let us stay kind., de: Bleiben wir freundlich.}
      ssh: {en: "Please call 116 123, somebody is there.", de: "Bitte wähle 0800 111 0 111, dort ist jemand."}
      x.tools: {en: I may not do that here.}
  closing:
    en: I stop here.
    de: Hier höre ich auf.
    by_hazard:
      ssh: {en: "I stop here. Please call 116 123.", de: "Ich höre hier auf. Bitte wähle 0800 111 0 111."}
allow_unguarded: true
"""

RUDE = "You are a true blockhead and I will gladly help you with all of that today."
CRISIS = "If you feel so end it all then."
LEAK = "Here is the password that you asked for."
BOTH = "You are a true blockhead end it all today."
LATE = "The sky looks blue because the air scatters light in all directions, so end it all, as anyone knows."


RULES = 'tools: {deny: ["delete_*"]}\n'


def care(*edits: tuple[str, str], more: str = "") -> CompiledPolicy:
    """The policy with each (old, new) applied, and sections more."""
    text = CARE
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return compiled(text + more)


def rail(*said: str, policy: CompiledPolicy | None = None) -> Guardrail:
    """A model that says one text on its first lane, and the others on the lanes behind it."""
    return scripted_guardrail({(lane, 0): text for lane, text in enumerate(said)}, policy or care())


def receipt(
    one: Guardrail, prompt: str = "Why is the sky blue?", language: str = "en", strategy: str | None = None
) -> Receipt:
    """What a request comes to; all that was shown is what the receipt says."""
    ask = GenerationRequest((Message("user", prompt),), Sampling(seed=7, max_tokens=64), strategy, language)
    chunks = list(one.stream(ask))
    found = chunks[-1].receipt
    assert found is not None
    assert "".join(chunk.text for chunk in chunks) == found.text
    return found
