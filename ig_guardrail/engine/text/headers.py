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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = tuple[int, ...]


class FormState(Protocol):
    """Where an answer stands in its form."""

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (vocabulary,)."""

    def take(self, token: int) -> None:
        """Go on with a token."""


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

    def of_form(self, form: FormState, bytes_of: Callable[[int], bytes]) -> tuple[Ids, ...]:
        """The headers of what a form takes, where an answer of it begins; a thought may stand before any."""
        opening = self.spelled.encode()
        speaks = any(not opening.startswith(bytes_of(token)) for token in np.flatnonzero(form.allowed()).tolist())
        calls = _takes(form, self.call)
        if not calls:
            return (self.words,)
        return (self.words, self.preface, self.call) if speaks else (self.call,)


def _takes(form: FormState, ids: Ids) -> bool:
    for token in ids:
        if not form.allowed()[token]:
            return False
        form.take(token)
    return True
