"""Words exchanged for one another in a text, such as "sister" and "brother": what a counterfactual reading reads.

A swap maps words in lower case, each way. A word of a text is a longest run of letters; it is exchanged where it is
written all small, all large or with a large first letter, and keeps that form. Whatever is not in the swap stays, so
that swapping twice gives the text back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ig_guardrail.errors import ModelError, brief

Swap: TypeAlias = Mapping[str, str]

_WORD = re.compile(r"[^\W\d_]+")
_SPELLED = re.compile(r"[a-z]{2,}")


def swapped(text: str, swap: Swap) -> str:
    """The text with every word of the swap exchanged for its other, in the same case."""
    return _WORD.sub(lambda found: _other(found.group(), swap), text) if swap else text


def paired(pairs: Iterable[tuple[str, str]], nouns: Iterable[tuple[str, str]] = ()) -> Swap:
    """The swap of pairs of words, and of pairs of nouns together with their regular plurals.

    Words are of two or more of the letters a to z. Raises ModelError for any other, and for a word in two pairs: with
    one of them, swapping twice would not give the text back.
    """
    regular = list(nouns)
    swap: dict[str, str] = {}
    for one, other in (*pairs, *regular, *((plural(one), plural(other)) for one, other in regular)):
        for word in (one, other):
            if not _SPELLED.fullmatch(word):
                raise unfit(f"'{brief(word, 40)}' is not a word of two or more small letters a to z")
            if word in swap or one == other:
                raise unfit(f"'{word}' stands twice")
        swap |= {one: other, other: one}
    return swap


def plural(noun: str) -> str:
    """The regular plural: churches, ladies, boys."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def _other(word: str, swap: Swap) -> str:
    found = swap.get(word.lower()) if word.isascii() else None
    if found is None:
        return word
    if word.islower():
        return found
    if word.isupper():
        return found.upper()
    return found.capitalize() if word == word.capitalize() else word


def unfit(what: str) -> ModelError:
    """The error of words that cannot be swapped."""
    return ModelError(
        f"the swap lexicon is unfit: {what}",
        where="swap lexicon",
        why="a comparison with wrongly swapped words would say nothing of fairness",
        fix='write pairs such as {"kin": {"words": [["she", "he"]], "nouns": [["sister", "brother"]]}}',
    )
