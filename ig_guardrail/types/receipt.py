"""The record of a request: charges, blocks, outcome; and the chunks of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ig_guardrail.types.scoring import QuotedSource
from ig_guardrail.types.tree import Finish, TokenLogprob

Outcome: TypeAlias = Literal["completed", "refused", "ended", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the account: one budget charged at one charge point.

    fired  by cost model, the rules that a score above 0 rests on: a pattern's name, or its place in the policy's list
    """

    budget: str
    position: int
    ended: bool
    score: float
    cost: float
    z_before: float
    z_after: float
    raw: Mapping[str, float] = field(default_factory=dict)
    fired: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnsafeDrafts:
    """Different drafts that would have overdrawn a budget: how many, their highest score, and where it was charged."""

    drafts: int
    score: float
    position: int


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Calls of a cost model for one answer: how many, the seconds that they took together, and those of the slowest.

    What they waited for their turn is left out.
    """

    calls: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    def with_call(self, seconds: float) -> CallTimes:
        """With one more."""
        return CallTimes(self.calls + 1, self.seconds + seconds, max(self.slowest, seconds))


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """One accepted commit: where it ends; rounds of judgement, nodes judged and denials since the one before."""

    position: int
    attempts: int
    candidates: int
    denials: int


HURRIED = "the form was closed early, since `max_tokens` left no room for more"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an answer ended, in the words callers switch on."""

    outcome: Outcome
    finish: Finish | None
    reason: str
    guarded: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of one request: what was asked, spent, refused, under which policy.

    text     all that was shown, the policy's message included, but for a thought
    reasoning  the thought, as far as it was shown
    message  the policy's, in place of an answer or behind the beginning of one; "" where it has none
    message_name  its place in the policy: `refusal.by_hazard.ssh.en`
    approved  its owner and reason, where it stands whatever the budgets say of it
    denied   hazards that led to it, the most severe first: of drafts since text was last shown, or of the prompt
    sources  what scores above a threshold rest on, those of drafts too, where a cost model can say; a document once
    fired    by cost model, the patterns that scores above a threshold rest on, those of drafts and the prompt too: a
             name, or the place in the policy's list, counted from 0; never the text that they matched
    unsafe   by budget, the drafts that would have overdrawn it, and so were not shown
    substitutes  by cost model, what served instead of it: an entry of the policy (`otherwise`), or `adopted:HEAD`, a
                 head of that name that was trained for this model
    turn     of the conversation whose budgets it was charged to; None where there are none
    at       when it ended, ISO 8601
    language of refusals and closing messages, as it was asked for
    bounded  JSON pointers of texts, numbers, lists and objects in a value or in calls that have come to a bound which
             the room of the answer set, and not their schema: they may say less than was meant
    arm      `stable` or `canary`, where some requests are answered under another policy; else ""
    cost_times  by cost model, what its calls took
    """

    verdict: Verdict
    text: str
    message: str
    turn: int | None
    policy: Mapping[str, Any]
    model: Mapping[str, Any]
    cost_models: Mapping[str, str]
    substitutes: Mapping[str, str]
    sampling: Mapping[str, Any]
    search: Mapping[str, Any]
    prompt_sha256: str
    prompt_check: Mapping[str, Any]
    charges: tuple[Charge, ...]
    blocks: tuple[BlockRecord, ...]
    spend: Mapping[str, Mapping[str, Any]]
    tokens: Mapping[str, int]
    forwards: int
    cost_calls: int
    value_calls: int
    fail_open: tuple[str, ...]
    sources: tuple[QuotedSource, ...]
    fired: Mapping[str, tuple[str | int, ...]]
    fallbacks: tuple[str, ...]
    seconds: Mapping[str, float | None]
    reasoning: str = ""
    unsafe: Mapping[str, UnsafeDrafts] = field(default_factory=dict)
    message_name: str = ""
    approved: Mapping[str, str] = field(default_factory=dict)
    denied: tuple[str, ...] = ()
    at: str = ""
    language: str = "en"
    arm: str = ""
    cost_times: Mapping[str, CallTimes] = field(default_factory=dict)
    bounded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the stream. Only the last one carries a receipt.

    logprobs: of tokens that this piece shows the rest of; on the last piece, of a token that was shown in part, too.
      None where they were not asked for
    reasoning: a piece of the thought, which comes before all text
    cut: the name of a call that was begun and is not shown, since it was cut off; "" if not even that was written
    stop: the stop string that ended the answer
    """

    text: str
    receipt: Receipt | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    cut: str | None = None
    reasoning: str = ""
    stop: str = ""
