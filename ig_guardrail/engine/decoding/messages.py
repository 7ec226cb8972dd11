"""An answer as messages, where a template gives each a header: which header may come next, and what ends a message.

Words end the answer with their message; those that stand before a call are followed by it. What headers there are is
`engine/text/headers.py`'s to say, and what was written, the thought reader's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.engine.grammar.grammar import Grammar, GrammarState
from ig_guardrail.engine.text.headers import Headers, Ids
from ig_guardrail.engine.text.thought_reader import ThoughtHeld
from ig_guardrail.engine.text.vocabulary import TokenVocabulary


class HeaderState:
    """Where an answer stands in a header, behind which its form begins. ways: the headers that it may be."""

    ended = counting = False
    tries = 1  # all that is allowed may be read; a server is asked once for such a token

    def __init__(self, ways: Sequence[Ids], begun: Ids, size: int) -> None:
        self._ways = ways
        self._begun = begun
        self._size = size

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (vocabulary,)."""
        return _only(_next(self._ways, self._begun), self._size)

    def take(self, token: int) -> None:
        """Go on with a token."""
        self._begun = (*self._begun, token)

    def may_take(self, token: int, left: int) -> bool:
        """Whether a header goes on with a token; one is begun only where there is room for what follows it."""
        return token in _next(self._ways, self._begun)

    def way_out(self, left: int) -> int | None:
        """The next token of the first header that may be."""
        return next(_next(self._ways, self._begun), None)


FormState: TypeAlias = GrammarState | HeaderState


@dataclass(frozen=True, slots=True)
class MessageRules:
    """What the messages of one context's answers may be.

    thought  the header of a thought
    grammar  the form of answers; None where they have none, and begin as they like
    ways     the headers behind which the form goes on; () without one
    """

    headers: Headers
    thought: Ids
    language: TokenVocabulary
    grammar: Grammar | None = None
    ways: tuple[Ids, ...] = ()

    def demand(self, limit: int) -> None:
        """Raises RequestError unless an answer of `limit` tokens can have the form."""
        if self.grammar is not None:
            self.grammar.demand(limit, *self._lead)

    def header(self, held: ThoughtHeld, begun: Ids, room: int) -> HeaderState:
        """Where an answer stands in the header of a message. begun: its tokens so far; room: how many it may have."""
        return HeaderState(tuple(self._ways(held, room)), begun, self.language.size)

    def narrowed(self, allowed: NDArray[np.bool_], held: ThoughtHeld, begun: Ids) -> NDArray[np.bool_]:
        """Of the tokens that a form allows, those that may be: a call is cut as models do, and a message may end."""
        if held.phase == "call" and len(begun) <= len(self.headers.call):
            call = self.headers.call
            named = self.headers.joints if begun == call else tuple(_next([call], begun))
            return allowed & _only(named, self.language.size) if named else allowed
        if self.in_words(held):
            allowed[self.headers.end] = allowed[list(self.language.end)].any()
        return allowed

    def in_words(self, held: ThoughtHeld) -> bool:
        """Whether the answer stands in a message that the end of one ends: of words, or of a call that has no form."""
        phases = ("behind", "answer") if held.formed else ("behind", "answer", "call")
        return held.phase in phases and not held.forced

    def _ways(self, held: ThoughtHeld, room: int) -> Iterator[Ids]:
        """The headers that a message may have; a thought, and a call beside words, only where there is room for it."""
        if self.grammar is None:
            return
        form, call = self.grammar.after(()), self.headers.call
        if held.preface:
            yield call
            return
        yield from (way for way in self.ways if way != call or len(self.ways) == 1 or form.may_take(call[0], room))
        before, begun = self._lead
        needed = len(self.thought) + len(self.headers.over) + before + len(begun)
        if not held.spent and self.grammar.after(begun).fits(room - needed):
            yield self.thought

    @property
    def _lead(self) -> tuple[int, Ids]:
        """Tokens of a header that are no part of the form, and the header that is: what the form needs room for."""
        if self.headers.words in self.ways:
            return len(self.headers.words), ()
        return 0, self.headers.call


def messages_of(language: TokenVocabulary, grammar: Grammar | None) -> MessageRules | None:
    """The messages of answers of a form; None where a model's have no headers."""
    thoughts = language.thoughts
    if thoughts is None or thoughts.headers is None:
        return None
    ways = () if grammar is None else tuple(_ways_of(grammar, thoughts.headers, language))
    return MessageRules(thoughts.headers, thoughts.begins, language, grammar, ways)


def _ways_of(grammar: Grammar, headers: Headers, language: TokenVocabulary) -> Iterator[Ids]:
    """The headers of what a form takes: of words or JSON, of words before a call, of a call."""
    form = grammar.after(())
    first = form.allowed()
    opening, bytes_of = headers.spelled.encode(), language.detokenizer.bytes_of
    calls = form.takes(headers.call)
    if not calls or any(not opening.startswith(bytes_of(token)) for token in np.flatnonzero(first).tolist()):
        yield headers.words
    if calls and first[list(language.end)].any():
        yield headers.preface
    if calls:
        yield headers.call


def _next(headers: Sequence[Ids], begun: Ids) -> Iterator[int]:
    return (ids[len(begun)] for ids in headers if len(ids) > len(begun) and ids[: len(begun)] == begun)


def _only(tokens: Iterator[int] | Ids, size: int) -> NDArray[np.bool_]:
    allowed = np.zeros(size, np.bool_)
    allowed[list(tokens)] = True
    return allowed
