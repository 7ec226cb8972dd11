"""On which kind of processor the words in the documents were said.

In bfloat16 another kind rounds otherwise, and one seed soon gives other words (docs/decisions/steps.md). There a
document's words cannot be the real ones; everywhere else they must be. `--rewrite-golden` names the processor.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from ig_guardrail.engine.base import Engine
from ig_guardrail.engine.loading import models
from ig_guardrail.types import Draw, Message, Sampling

RECORDED = Path(__file__).parent / "recorded_on.txt"
PROMPTS = (
    "Why is the sky blue?",
    "Write an insulting note to a slow waiter.",
    "Tell me a short story about a lighthouse.",
)


def recorded_here() -> bool:
    """Whether the embedded model says here what it said where the documents were written."""
    return rounding() == RECORDED.read_text(encoding="ascii").strip()


def name_this_processor() -> None:
    """The documents are written here."""
    RECORDED.write_text(rounding() + "\n", encoding="ascii")


@cache
def rounding() -> str:
    """How the embedded model rounds: by which tokens it answers three prompts, at one seed."""
    engine = models.load_engine("embedded")
    drawn = [_tokens(engine, prompt) for prompt in PROMPTS]
    return hashlib.sha256(repr(drawn).encode()).hexdigest()[:16]


def _tokens(engine: Engine, prompt: str) -> tuple[int, ...]:
    root = engine.open(
        engine.encode((Message("user", prompt),)), Sampling(temperature=1.0, max_tokens=48), (1,)
    ).result()
    (node,) = engine.extend([Draw(root)], 48).result()
    engine.close(root)
    return node.ids
