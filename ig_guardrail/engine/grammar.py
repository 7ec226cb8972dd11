"""Grammars: which tokens may come next, so that what a model says has its form by construction.

A grammar is a Lark text as `llguidance` reads it, JSON schemas included. At every token it allows those that some whole
answer of that form continues with, and the end only where one is complete. How a form is cut into tokens is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.engine.language import Language
from ig_guardrail.errors import EngineError, RequestError, brief

LONGEST = 500_000  # characters of a grammar
_KEPT = 32  # compiled grammars


class Form:
    """Where one answer stands in its grammar."""

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher = matcher
        self._size = size

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (vocabulary,). Raises EngineError if that cannot be told."""
        mask: bytes = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            raise _broken(self._matcher.get_error())
        bits = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")[: self._size]
        return np.pad(bits, (0, self._size - len(bits))).astype(np.bool_)

    def take(self, token: int) -> None:
        """Go on with a token. Raises EngineError if it is not allowed."""
        if not self._matcher.consume_token(token):
            raise _broken(f"token {token} is not allowed there")


@dataclass(frozen=True, slots=True)
class Grammar:
    """A compiled grammar, for the tokens of one model."""

    _start: Any
    _size: int

    def after(self, ids: Sequence[int]) -> Form:
        """Where an answer stands after `ids`. Raises EngineError if no form begins like that."""
        matcher = self._start.deep_copy()
        if ids and not matcher.consume_tokens(list(ids)):
            raise _broken("tokens were forced that no form begins with")
        return Form(matcher, self._size)


class Grammars:
    """Compiles grammars for one model. Not safe to share between threads; an engine's thread owns it."""

    def __init__(self, language: Language, encode: Callable[[str], Sequence[int]]) -> None:
        self._language = language
        self._encode = encode
        self._compiled: dict[str, Grammar] = {}

    def compiled(self, text: str) -> Grammar:
        """The grammar of a Lark text. Raises RequestError if it is no grammar, or too large to be followed."""
        from llguidance import LLMatcher

        if text not in self._compiled:
            if len(text) > LONGEST:
                raise _unfit(f"it has {len(text)} characters, of at most {LONGEST}")
            matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(text), log_level=0)
            if matcher.is_error():
                raise _unfit(matcher.get_error())
            while len(self._compiled) >= _KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[text] = Grammar(matcher, self._language.size)
        return self._compiled[text]

    @cached_property
    def _tokenizer(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(
            TokenizerWrapper(_Spelling(self._language, self._encode)), eos_token=sorted(self._language.end)
        )


class _Spelling:
    """A model's tokens as `llguidance` wants them; those that spell nothing are special, by names of their own."""

    def __init__(self, language: Language, encode: Callable[[str], Sequence[int]]) -> None:
        spelled = [language.detokenizer.bytes_of(token) for token in range(language.size)]
        self.eos_token_id = min(language.end)
        self.bos_token_id = None
        self.special_token_ids = [token for token, data in enumerate(spelled) if not data]
        self.tokens = [data or f"<|{token}|>".encode() for token, data in enumerate(spelled)]
        self._encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        return list(self._encode(text if isinstance(text, str) else text.decode("utf-8", "replace")))


def _unfit(why: str) -> RequestError:
    return RequestError(
        f"the form that was asked for cannot be enforced: {brief(why, 400)}",
        where="tools or response format",
        why="an answer whose form is not enforced may break who reads it",
        fix="use a simpler JSON schema",
    )


def _broken(why: str) -> EngineError:
    return EngineError(
        f"an answer left the form that was asked for: {brief(why, 400)}",
        where="grammar",
        why="a form that was promised must hold at every token",
    )
