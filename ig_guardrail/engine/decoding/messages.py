"""An answer as messages, where a template gives each a header: which header may come next, and what ends a message.

Words end the answer with their message; those that stand before a call are followed by it. What may be written at all
is `engine/text/headers.py`'s to say, and what was, the thought reader's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ig_guardrail.engine.grammar.grammar import Grammar
from ig_guardrail.engine.text.headers import Headers, Ids
from ig_guardrail.engine.text.thought_reader import ThoughtHeld
from ig_guardrail.engine.text.vocabulary import TokenVocabulary


@dataclass(frozen=True, slots=True)
class Messages:
    """What the messages of one context's answers may be.

    thought  the header of a thought
    ways     the headers behind which an answer's form goes on; () where answers have no form, and begin as they like
    """

    headers: Headers
    thought: Ids
    ways: tuple[Ids, ...] = ()

    def in_header(self, held: ThoughtHeld) -> bool:
        """Whether the next token is one of a header, behind which the form begins."""
        return bool(self.ways) and held.phase == "before" and not held.forced

    def next_in_header(self, held: ThoughtHeld, begun: Ids) -> list[int]:
        """The tokens with which a header goes on that begins like this. begun: the tokens of the message so far"""
        if held.preface:
            return list(_next(self.ways[-1:], begun))
        return list(_next(self.ways if held.spent else (self.thought, *self.ways), begun))

    def next_in_call(self, held: ThoughtHeld, begun: Ids) -> list[int]:
        """The tokens with which a call goes on up to the name of its tool; none where it is at the name, or no call."""
        if held.phase != "call":
            return []
        return list(self.headers.joints) if begun == self.headers.call else list(_next([self.headers.call], begun))

    def in_words(self, held: ThoughtHeld) -> bool:
        """Whether the answer stands in words."""
        return held.phase in ("behind", "answer") and not held.forced

    def call_follows(self, held: ThoughtHeld) -> bool:
        """Whether the words of this message stand before a call."""
        return bool(self.ways) and held.preface

    @property
    def thought_end(self) -> Ids | None:
        """What ends a thought behind which another header than that of words may follow; None where that is all."""
        return self.headers.over if self.ways else None


def messages_of(language: TokenVocabulary, grammar: Grammar | None) -> Messages | None:
    """The messages of answers of a form; None where a model's have no headers."""
    thoughts = language.thoughts
    if thoughts is None or thoughts.headers is None:
        return None
    ways = () if grammar is None else thoughts.headers.of_form(grammar.after(()), language.detokenizer.bytes_of)
    return Messages(thoughts.headers, thoughts.begins, ways)


def _next(headers: Sequence[Ids], begun: Ids) -> Iterator[int]:
    return (ids[len(begun)] for ids in headers if len(ids) > len(begun) and ids[: len(begun)] == begun)
