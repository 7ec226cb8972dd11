"""From command-line words to a request, and from a request to its text and receipt."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Protocol

from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.types import Chunk, Receipt, Sampling, Turn

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
    """Where an answer goes: its text as it is released, and the receipt once."""

    def show(self, text: str) -> None: ...
    def close(self, receipt: Receipt) -> None: ...


def sampling(
    temperature: float, top_p: float, max_tokens: int, stop: Sequence[str] | None, seed: int | None
) -> Sampling:
    """How to sample; a missing seed is drawn, 63 random bits, and found again in the receipt."""
    drawn = secrets.randbits(63) if seed is None else seed
    return Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, stop=tuple(stop or ()), seed=drawn)


def opening_turns(system: str | None) -> tuple[Turn, ...]:
    """What a conversation begins with."""
    return (Turn("system", system),) if system else ()


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
                if chunk.text:
                    writer.show(chunk.text)
                if chunk.receipt is not None:
                    writer.close(chunk.receipt)
                    return chunk.receipt
        except GenerationFailed as failure:
            writer.close(failure.receipt)
            raise
    raise RequestError("the answer ended without a receipt", where="stream", fix="report this as a bug")
