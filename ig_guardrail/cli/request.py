"""From command-line words to a request, and from a request to its text and receipt."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.text.calls import ResponseFormat
from ig_guardrail.types import OUR_FORMAT, Chunk, GenerationDefaults, Message, Reasoning, Receipt, ToolFormat

if TYPE_CHECKING:
    from ig_guardrail.drive.request import GenerationRequest
    from ig_guardrail.guardrail import Guardrail

STANDARD_INPUT = "-"


def decoded(said: bytes) -> str:
    """Text from outside. Raises RequestError where it is not UTF-8."""
    try:
        return said.decode()
    except UnicodeDecodeError as error:
        raise RequestError(
            f"the prompt is not UTF-8 (byte {error.start})",
            where="prompt",
            why="the tokenizer reads Unicode text",
            fix="convert it to UTF-8",
        ) from error


class Writer(Protocol):
    """Where an answer goes: its thought and its text as they are released, and the receipt once."""

    def think(self, text: str) -> None: ...
    def show(self, text: str) -> None: ...
    def close(self, receipt: Receipt) -> None: ...


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What every request of a command asks for beside its turns.

    drawing  how tokens are drawn, by the names of `Sampling`; None is the model's own, else the usual value
    seed     None: drawn, and found again in the receipt
    own      the model's own values
    """

    drawing: Mapping[str, Any]
    max_tokens: int
    stop: Sequence[str] | None
    seed: int | None
    strategy: str | None
    language: str
    tenant: str | None
    form: ResponseFormat
    reasoning: str = "auto"
    reasoning_effort: str | None = None
    max_reasoning_tokens: int | None = None
    own: GenerationDefaults = field(default_factory=GenerationDefaults)
    tool_format: ToolFormat = OUR_FORMAT

    def within(self, guardrail: Guardrail) -> RequestOptions:
        """The same beside a model, and under a policy's rules for tools: what may not be called is not offered."""
        from ig_guardrail.costs.calls.offers import offered

        form, facts = offered(self.form, guardrail.costs.tool_rules), guardrail.engine.info
        return replace(self, form=form, own=facts.defaults, tool_format=facts.tool_format)

    def check(self, turns: tuple[Message, ...], conversation: str | None) -> None:
        """Raises RequestError for what no model can answer, before one is loaded; a form is checked beside it."""
        from ig_guardrail.drive.request import check
        from ig_guardrail.search.registry import method_of
        from ig_guardrail.settings import Limits

        if self.strategy is not None:
            method_of(self.strategy)
        check(replace(self, form=ResponseFormat()).ask(turns, conversation), Limits())

    def ask(self, turns: tuple[Message, ...], conversation: str | None) -> GenerationRequest:
        """The request that answers these turns."""
        from ig_guardrail.drive.request import GenerationRequest, in_form, salt_of

        sampling = self.own.sampling(
            **self.drawing,
            max_tokens=self.max_tokens,
            stop=tuple(self.stop or ()),
            seed=secrets.randbits(63) if self.seed is None else self.seed,
            max_reasoning_tokens=self.max_reasoning_tokens,
        )
        request = GenerationRequest(
            turns,
            sampling,
            self.strategy,
            self.language,
            conversation=conversation,
            tenant=self.tenant,
            reasoning=cast(Reasoning, self.reasoning),  # checked with the request
            reasoning_effort=self.reasoning_effort,
            cache_salt=salt_of(self.tenant),
        )
        return in_form(request, self.form, self.tool_format)


def read_engine_options(given: Sequence[str] | None) -> dict[str, str]:
    """Options of an engine by name, from words such as `threads=2`. Raises RequestError for others."""
    found: dict[str, str] = {}
    for word in given or ():
        name, equals, value = word.partition("=")
        if not (name and equals and value) or name in found:
            raise RequestError(
                f"'{word:.80}' is no option of an engine" if name not in found else f"option '{name}' is given twice",
                where="--engine-option",
                fix="write NAME=VALUE, each name once",
            )
        found[name] = value
    return found


def opening_turns(system: str | None) -> tuple[Message, ...]:
    """What a conversation begins with."""
    return (Message("system", system),) if system else ()


def read_prompt(given: str) -> str:
    """The prompt, from standard input for `-`. Raises RequestError if there is none, or if it is not UTF-8."""
    text = decoded(sys.stdin.buffer.read() if given == STANDARD_INPUT else os.fsencode(given))
    if not text.strip():
        raise RequestError(
            "the prompt is empty",
            where="--prompt",
            why="there is nothing to answer",
            fix="give a text, or `--prompt -` and a text on standard input",
        )
    return text


def deliver(chunks: Generator[Chunk, None, None], writer: Writer) -> Receipt:
    """Pass an answer on as it is released. Stops decoding if it is interrupted.

    Raises GenerationFailed after the receipt was written, and RequestError before anything was.
    """
    with closing(chunks):
        try:
            for chunk in chunks:
                if chunk.reasoning:
                    writer.think(chunk.reasoning)
                if chunk.text:
                    writer.show(chunk.text)
                if chunk.receipt is not None:
                    writer.close(chunk.receipt)
                    return chunk.receipt
        except GenerationFailed as failure:
            writer.close(failure.receipt)
            raise
    raise RequestError("the answer ended without a receipt", where="stream", fix="report this as a bug")
