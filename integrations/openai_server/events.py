"""What an answer consists of, before any wire writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.messages.ai import UsageMetadata

from ig_guardrail.types import Outcome

RefusalStyle: TypeAlias = Literal["filter", "openai", "text", "http400"]  # how chat completions tell a refusal
Ended: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "cancelled"]


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """A piece of what the model thought before it answered."""

    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of the answer's words, released by the gate.

    logprobs: in OpenAI's form, of the tokens that it shows the rest of; empty unless asked for
    """

    text: str
    logprobs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One whole call of a tool. index: among the calls of its answer. arguments: a JSON object, as text.

    logprobs: as of words
    """

    index: int
    id: str
    name: str
    arguments: str
    logprobs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """How an answer ended; the last event of each.

    finish    `content_filter` where the policy refused or ended it, `cancelled` past the deadline
    refusal   what the policy says in place of an answer, or behind the beginning of one; "" where it was completed
    cut       whether a call was begun and is not shown, since there was no room for all of it
    logprobs  of tokens that were shown, and not told with the words before
    receipt   in plain values
    stop      the stop string that ended it
    said      the refusal as it goes on behind what was shown; "" behind a value, whose part it would be
    """

    outcome: Outcome
    finish: Ended
    refusal: str
    cut: bool
    usage: UsageMetadata
    logprobs: tuple[Mapping[str, Any], ...]
    receipt: Mapping[str, Any]
    stop: str = ""
    said: str = ""

    @property
    def cached(self) -> int:
        """Tokens of the prompt that were known from before."""
        return self.usage.get("input_token_details", {}).get("cache_read", 0)

    @property
    def thought(self) -> int:
        """Tokens of a thought, which are among those written."""
        return self.usage.get("output_token_details", {}).get("reasoning", 0)


Event: TypeAlias = ThoughtDelta | Words | Call | End


@dataclass(frozen=True, slots=True)
class Told:
    """An event of one of the answers to a question. choice: which of them, counted from 0"""

    choice: int
    event: Event
