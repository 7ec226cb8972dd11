"""Texts with a cursor in them, as tests of the editor write them: `|` is where it stands."""

from __future__ import annotations

from pathlib import Path

from ig_guardrail.workbench.editor.document import Document, Encoding

POLICY = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {name: bank, version: 1.0.0, owners: [you@example.org]}
cost_models:
  tone: {kind: latent, head: toxic-tone, hazards: [hte, x.insult], otherwise: words}
  words: {kind: lexical, model: words, hazards: [hte, x.insult]}
budgets:
  - {id: kindness, hazards: [hte, x.insult], cost: "max(tone, 0.5 * words)", threshold: 0.4, budget: 0.05}
messages:
  refusal: {en: "I'm sorry, I can't help with that. Is there something else I can do for you?"}
  closing: {en: "Let me stop here. Please feel free to ask me something else, and I will be happy to help."}
"""
MODELS = POLICY[: POLICY.index("budgets:")]
CASES = """\
policy: bank.yaml
cases:
  - {name: an insult, answer: You fool., scores: [{tone: 0.9}], expect: {outcome: denied, budget: kindness}}
"""
CURSOR = "|"


def none(path: Path) -> str | None:
    """No file is there."""
    return None


def at_cursor(text: str, path: str = "bank.yaml", encoding: Encoding = "utf-16") -> tuple[Document, int]:
    """The document, and the offset of the cursor in it."""
    before, after = text.split(CURSOR)
    return Document(path, before + after, encoding), len(before)
