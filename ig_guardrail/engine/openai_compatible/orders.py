"""What is asked of a server, and what it gave, whatever its wire: blocks of tokens, and judgements of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ig_guardrail.types import Sampling


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """Answers to be gone on with from one prefix.

    prompt    tokens of prompt and answer so far
    tokens    most tokens of each
    count     how many answers, of which number i is drawn with seed + i
    bias      what is added to the logits of tokens
    top       how many of the likeliest tokens are told beside each
    allowed   the only tokens that may be drawn; None for all
    ends      tokens that end an answer
    salt      whose prompts may share what the server keeps of this one
    """

    prompt: tuple[int, ...]
    tokens: int
    sampling: Sampling
    seed: int
    count: int = 1
    bias: Mapping[int, float] = field(default_factory=dict)
    top: int = 0
    allowed: tuple[int, ...] | None = None
    ends: tuple[int, ...] = ()
    salt: str = ""

    @property
    def greedy(self) -> bool:
        """Whether all of the answers are the same."""
        return self.sampling.temperature == 0


@dataclass(frozen=True, slots=True)
class DrawnToken:
    """A token, its log-probability (nats) by the raw model, and the likeliest in its place; None where not told."""

    id: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class DrawnBlock:
    """What a server drew. stopped: whether its answer ends there. text: what it says the tokens spell, if it does."""

    tokens: tuple[DrawnToken, ...]
    stopped: bool
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreOrder:
    """The last `count` of some tokens, to be told their log-probabilities, and the `top` likeliest beside each."""

    tokens: tuple[int, ...]
    count: int
    top: int = 0
    salt: str = ""


Judged = Sequence[DrawnToken]
