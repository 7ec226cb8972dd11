"""Near copies among sentences that were written by template: what was measured on one that was learned proves nothing.

HateCheck fills one sentence with seven groups of people in turn. Two of its sentences are of one template if they are
equal without the group's name; near copies, too, share four fifths of their words, as misspelled ones do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

TEMPLATED = ("HateCheck",)
SHARED = 0.8
_WORDS = re.compile(r"\w+")
_ADJECTIVES = r"(?:trans|gay|black|disabled)(?:\s+(?:people|person|men|man|women|woman|folks?))?"
_NOUNS = r"(?:women|woman|muslims?|immigrants?)"
_GROUP = re.compile(rf"\b(?:an?\s+)?(?:{_ADJECTIVES}|{_NOUNS})(?:'?s)?\b")


def template_of(text: str) -> str:
    """The words of a text in lower case, without the name of a group of people."""
    return " ".join(_WORDS.findall(_GROUP.sub(" ", text.lower())))


class Learned:
    """Texts that something has learned, to be asked whether another is a near copy of one of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        known = list(texts)
        self._templates = {template_of(text) for text in known}
        self._words = [frozenset(_WORDS.findall(text.lower())) for text in known]

    def hold_copy_of(self, text: str) -> bool:
        """Whether one of them has the template of `text`, or at least `SHARED` of the words of both."""
        if template_of(text) in self._templates:
            return True
        mine = frozenset(_WORDS.findall(text.lower()))
        return any(len(mine & other) >= SHARED * len(mine | other) for other in self._words)
