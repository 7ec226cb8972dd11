"""Headers of messages: where a template has channels, all that a model writes begins with one, which says what follows.

    <|channel|>analysis<|message|>          a thought; another message follows it
    <|channel|>final<|message|>             words
    <|channel|>commentary<|message|>        words before a call; that follows as a message of its own
    <|channel|>commentary to=functions.     a call, with the name of its tool

That is the shape of gpt-oss (OpenAI's harmony format). A model that may write anything begins as it likes. Where an
answer has a form, it begins with a header of what the form takes, and the form follows the header of words; a call's
header is part of the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Headers:
    """The tokens of each header; of a call's, those up to the last sign before its tool is named.

    over     what ends a message, before the header of the next one
    spelled  the text of a call up to the name of its tool
    joints   the tokens that begin with the last sign of that; how it and the name are cut is the model's choice
    """

    words: Ids
    preface: Ids
    call: Ids
    over: Ids
    spelled: str
    joints: Ids

    @property
    def end(self) -> int:
        """The token that ends a message."""
        return self.over[0]
