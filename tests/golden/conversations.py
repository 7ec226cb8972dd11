"""Scripted conversations, one for each way an answer can go: a model of words, a policy of one pattern, no weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ig_guardrail.assembly import guard
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import Incidents, ScriptedEngine
from ig_guardrail.engine.scripted.script import Continuations
from ig_guardrail.errors import EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.policy import compile_text
from ig_guardrail.policy.sources import PolicySource, fetch
from ig_guardrail.types import CompiledPolicy, Message, Sampling

POLITE = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: polite, version: 1.0.0, owners: [tests@example.org]}
taxonomy: ailuminate-1.0
cost_models:
  rude: {kind: pattern, hazards: [hte], patterns: ['(?i)\\bblockhead'], longest_match: 9, timeout_ms: 60000}
budgets:
  - {id: rudeness, hazards: [hte], cost: rude, threshold: 0.5, budget: 0.0, every: 4}
prompt: {cost: rude, threshold: 0.5, on_exceed: refuse}
search: {candidates: 2, block: 4, retries: 1, hold: 4, shortest: 2}
messages:
  refusal: {en: "I would rather not say that.", de: "Das möchte ich nicht sagen."}
  closing: {en: "I stop here.", de: "Hier höre ich auf."}
allow_unguarded: true
"""

CALM = "The sky looks blue because the air scatters short waves of light far more than long ones."
RUDE = "You are a true blockhead and I will gladly help you with all of that today."
KIND = "You are a true friend and I will gladly help you with all of that today."
LATE = "The sky looks blue because the air scatters light in all directions, you blockhead, as anyone knows."


@dataclass(frozen=True)
class Conversation:
    """What is asked, what the model would say on each (lane, attempt), and what goes wrong."""

    told: Mapping[tuple[int, int], str]
    prompt: str = "Why is the sky blue?"
    strategy: str | None = None
    sampling: Sampling = field(default_factory=lambda: Sampling(seed=7, max_tokens=64))
    incidents: Incidents = field(default_factory=Incidents)
    language: str = "en"

    def guardrail(self) -> Guardrail:
        return scripted_guardrail(self.told, incidents=self.incidents)

    def ask(self) -> GenerationRequest:
        return GenerationRequest((Message("user", self.prompt),), self.sampling, self.strategy, self.language)


CONVERSATIONS = {
    "completed": Conversation({(0, 0): CALM}),
    "completed-at-length": Conversation({(0, 0): CALM}, sampling=Sampling(seed=7, max_tokens=6)),
    "completed-at-stop-string": Conversation(
        {(0, 0): CALM}, sampling=Sampling(seed=7, max_tokens=64, stop=("waves of",))
    ),
    "rescued": Conversation({(0, 0): RUDE, (1, 0): KIND}),
    "refused": Conversation({(0, 0): RUDE}, language="de"),
    "refused-at-the-prompt": Conversation({(0, 0): CALM}, prompt="Say something, blockhead."),
    "ended": Conversation({(0, 0): LATE}),
    "cut": Conversation({(0, 0): RUDE, (1, 0): KIND}, strategy="cut"),
    "unguarded": Conversation({(0, 0): RUDE}, strategy="none"),
    "failed": Conversation(
        {(0, 0): CALM}, incidents=Incidents(faults={("extend", 3): EngineError("the weights caught fire")})
    ),
}


def without_substitutes(name: str) -> str:
    """The text of a packaged policy, whose cost models have nothing that serves instead of them."""
    source = fetch(name)
    assert isinstance(source, PolicySource)
    return re.sub(rb", otherwise: [\w-]+", b"", source.content).decode()


def compiled(text: str = POLITE) -> CompiledPolicy:
    """A policy that must be valid."""
    policy, faults = compile_text(text, "polite.yaml")
    assert policy is not None, faults
    return policy


def scripted_guardrail(
    told: Mapping[tuple[int, int], str],
    policy: CompiledPolicy | None = None,
    incidents: Incidents | None = None,
    context: int = 4096,
) -> Guardrail:
    """A guardrail over a script."""
    engine = ScriptedEngine(Continuations(told), context=context, incidents=incidents)
    return guard(engine, policy or compiled())
