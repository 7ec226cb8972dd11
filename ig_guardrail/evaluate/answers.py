"""One answer of one arm of a comparison, as plain values: the demo shows them, comparisons keep them as records."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import GenerationFailed
from ig_guardrail.evaluate.replay import Audit, audit_charges
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.base import Strategy
from ig_guardrail.search.recorder import Follower
from ig_guardrail.stream.gate import behind
from ig_guardrail.types import Budget, Message, Receipt, Sampling


@dataclass(frozen=True, slots=True)
class Answer:
    """What an arm gave.

    outcome  how it ended: completed, refused, ended, cancelled or failed
    shown    all text that was shown, a refusal or closing message included
    text     the model's own words in it
    ids      the tokens behind them
    audit    the account under the policy's budgets, from the receipt's charges
    trace    at each charge point, its position and the least that remains of a budget (z)
    tokens   released, generated, discarded, and read by the model in all rows
    work     layers times tokens read, over both models where a second one verifies
    scored   calls of cost models, and of reward model and critic
    seconds  wall time, and until the first text was shown
    """

    outcome: str
    shown: str
    text: str
    ids: tuple[int, ...]
    audit: Audit
    trace: Sequence[tuple[int, float]]
    tokens: Mapping[str, int]
    work: int
    scored: Mapping[str, int]
    seconds: Mapping[str, float | None]

    @property
    def over(self) -> str | None:
        """The budget that is overdrawn, or None; only an unguarded answer can overdraw one."""
        return self.audit.over

    @property
    def generated(self) -> int:
        """Tokens sampled, over all candidates and attempts."""
        return self.tokens["generated"]

    @property
    def completed(self) -> bool:
        return self.outcome == "completed"

    @property
    def fallback(self) -> bool:
        """Whether a pre-approved message stands in for an answer or for the rest of one."""
        return self.outcome in ("refused", "ended")


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: a guardrail, a strategy, and the budgets its answers are judged by."""

    name: str
    guardrail: Guardrail
    strategy: Strategy
    budgets: tuple[Budget, ...]

    def stream(self, turns: tuple[Message, ...], sampling: Sampling) -> Generator[str, None, Answer]:
        """Text as it is released; returns the answer. A failed request gives one too, and no error."""
        follower = Follower(self.strategy)
        receipt: Receipt | None = None
        try:
            for chunk in self.guardrail.stream(GenerationRequest(turns, sampling, follower)):
                if chunk.text:
                    yield chunk.text
                receipt = chunk.receipt or receipt
        except GenerationFailed as error:
            receipt = error.receipt
        assert receipt is not None
        return self._answer(receipt, follower)

    def answer(self, turns: tuple[Message, ...], sampling: Sampling) -> Answer:
        """The answer alone."""
        stream = self.stream(turns, sampling)
        while True:
            try:
                next(stream)
            except StopIteration as end:
                answer: Answer = end.value
                return answer

    def _readers(self) -> Iterator[tuple[str, Engine]]:
        """The models that read for an answer, by what a receipt calls the tokens that they read."""
        yield "read", self.guardrail.engine
        if self.guardrail.verifier is not None:
            yield "verified", self.guardrail.verifier

    def _answer(self, receipt: Receipt, follower: Follower) -> Answer:
        return Answer(
            outcome=receipt.verdict.outcome,
            shown=receipt.text,
            text=own_words(receipt),
            ids=follower.ids[: receipt.tokens["released"]],
            audit=audit_charges(receipt.charges, self.budgets),
            trace=_trace(receipt),
            tokens=dict(receipt.tokens),
            work=sum(receipt.tokens.get(name, 0) * max(1, engine.info.layers) for name, engine in self._readers()),
            scored={"cost": receipt.cost_calls, "value": receipt.value_calls},
            seconds=dict(receipt.seconds),
        )


def _trace(receipt: Receipt) -> list[tuple[int, float]]:
    least: dict[int, float] = {}
    for line in receipt.charges:
        least[line.position] = min(least.get(line.position, line.z_after), line.z_after)
    return sorted(least.items())


def own_words(receipt: Receipt) -> str:
    """The shown text without the policy's message."""
    if receipt.verdict.outcome == "refused":
        return ""
    if receipt.verdict.outcome == "ended" and receipt.message:
        return receipt.text.removesuffix(behind(receipt.message))
    return receipt.text
