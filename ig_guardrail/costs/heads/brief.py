"""A second line for brief answers: what a head of longer ones makes of one or two words is mostly noise.

Heads learn from sentences. A mean over one token varies twice as much as over sixteen, a single word is a whole bag of
words, and answers that end there are of other kinds: `Yes.`, `42`, `{}`. So an artifact may hold a second line, learned
from such answers and from first words, on the curve of the first one. It reads answers that end before they are this
long; the beginning of one that goes on is read by the first line.
"""

from __future__ import annotations

from ig_guardrail.costs.heads.artifact import Artifact

BRIEF_TOKENS = 8  # from so many on, a whole answer is read by the first line: of heads on hidden states
BRIEF_PIECES = 8  # the same in pieces of words, of heads on a sentence encoder
BRIEF_WORDS = 6  # the same in words, of heads on words
BRIEF = "brief_"  # before the names of the second line's tensors


def has_brief(artifact: Artifact) -> bool:
    """Whether there is a second line, or a part of one: an artifact that lacks the rest of it is unfit."""
    return any(name.startswith(BRIEF) for name in artifact.tensors)
