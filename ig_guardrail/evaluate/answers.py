"""One answer of one arm of a comparison, as a record of plain values."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GenerationFailed
from ig_guardrail.evaluate.replay import Audit, audit_charges
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.base import Strategy
from ig_guardrail.search.recorder import Follower
from ig_guardrail.types import Budget, Message, Messages, Receipt, Sampling


@dataclass(frozen=True, slots=True)
class ArmAnswer:
    """What an arm gave.

    outcome    how it ended: completed, refused, ended, cancelled or failed
    shown      all text that was shown, a refusal or closing message included
    text       the model's own words in it
    ids        the tokens behind them
    audit      the account under the policy's budgets, from the receipt's charges
    generated  tokens sampled, over all candidates and attempts
    seconds    wall time
    """

    outcome: str
    shown: str
    text: str
    ids: tuple[int, ...]
    audit: Audit
    generated: int
    seconds: float

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

    def stream(self, turns: tuple[Message, ...], sampling: Sampling) -> Generator[str, None, ArmAnswer]:
        """Text as it is released; returns the record. A failed request is a record too, not an error."""
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
        return self._record(receipt, follower)

    def answer(self, turns: tuple[Message, ...], sampling: Sampling) -> ArmAnswer:
        """The record alone."""
        stream = self.stream(turns, sampling)
        while True:
            try:
                next(stream)
            except StopIteration as end:
                record: ArmAnswer = end.value
                return record

    def _record(self, receipt: Receipt, follower: Follower) -> ArmAnswer:
        return ArmAnswer(
            outcome=receipt.verdict.outcome,
            shown=receipt.text,
            text=own_words(receipt, self.guardrail.policy.messages),
            ids=follower.ids[: receipt.tokens["released"]],
            audit=audit_charges(receipt.charges, self.budgets),
            generated=receipt.tokens["generated"],
            seconds=receipt.seconds["total"] or 0.0,
        )


def own_words(receipt: Receipt, messages: Messages) -> str:
    """The shown text without the policy's message."""
    if receipt.verdict.outcome == "refused":
        return ""
    if receipt.verdict.outcome == "ended":
        for closing in messages.closing.values():
            if receipt.text.endswith(f"\n\n{closing}"):
                return receipt.text.removesuffix(f"\n\n{closing}")
    return receipt.text
