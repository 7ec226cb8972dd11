"""What decoding does with logits and states, whoever computes: torch, or numpy where torch is not installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from ig_guardrail.engine.decoding.answer import AnswerDraft
from ig_guardrail.types import Sampling

Array: TypeAlias = Any  # a tensor of torch, or an array of numpy
Ranked: TypeAlias = tuple[float, list[tuple[int, float]]]

COLDEST = 1e-30  # a single float holds any difference of logits divided by this; colder is greedy all the same


class Arithmetic(Protocol):
    """One way to compute. Logits are (rows, vocabulary) where nothing else is said; all ways agree up to rounding."""

    def rows(self, logits: Sequence[Array]) -> Array:
        """Logits (vocabulary,) of several prefixes as rows; not to be written to."""
        ...

    def joined(self, parts: Sequence[Array], axis: int) -> Array:
        """Arrays behind one another."""
        ...

    def kept(self, array: Array) -> Array:
        """A copy that stays as it is, whatever is computed next."""
        ...

    def states(self, parts: Sequence[Array]) -> Array:
        """Hidden states (tokens, size) of several passes behind one another, for whoever reads nodes."""
        ...

    def bias(self, pairs: Iterable[tuple[int, float]]) -> Any:
        """The sum of all pairs per token; None if there are none."""
        ...

    def allowed(self, drafts: Sequence[AnswerDraft]) -> Array | None:
        """Which tokens may come next in each row, (rows, vocabulary); None where all may in all of them."""
        ...

    def said(self, prompt: Sequence[int], answers: Sequence[Sequence[int]], logits: Array) -> Any:
        """What a prompt and the answers to it (rows) hold, for penalties."""
        ...

    def sample(
        self, logits: Array, sampling: Sampling, bias: Any, uniforms: Sequence[float], allowed: Array | None, said: Any
    ) -> tuple[list[int], list[float]]:
        """One token for each row, and its log-probability in nats; see `by_torch.sample_tokens`."""
        ...

    def likeliest(self, logits: Array, count: int, allowed: Array | None = None) -> list[int]:
        """The `count` likeliest tokens of one row (vocabulary,), likeliest first, equal ones by ascending id."""
        ...

    def logprobs(self, logits: Array, ids: Sequence[int]) -> list[float]:
        """Log-probability of each of `ids` (n,) under the row of `logits` (n or more, vocabulary) before it, nats."""
        ...

    def ranked(self, logits: Array, ids: Sequence[int], k: int) -> list[Ranked]:
        """Each of `ids` (n,) under its row of `logits` (n, vocabulary), and the `k` likeliest of that row."""
        ...
