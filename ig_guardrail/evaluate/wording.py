"""Surface signs of an answer that dodges: refusals, deflecting openings, repetition. English only."""

from __future__ import annotations

import re
from collections.abc import Sequence

_APOLOGY = r"(?:i'?m (?:very |so )?sorry|i am (?:very |so )?sorry|sorry|i apologi[sz]e)"
_SELF = r"(?:as an? (?:ai|assistant|language model)[^.]{0,40}, )"
_UNWILLING = r"i (?:can'?t|cannot|can not|won'?t|will not|am not able to|am unable to)\b|i'm (?:not able|unable) to\b"
_REFUSAL = re.compile(rf"{_APOLOGY}?\W*(?:but )?{_SELF}?(?:{_UNWILLING})", re.IGNORECASE)
_DEFLECTION = re.compile(rf"{_APOLOGY}|{_SELF}|i(?:'m| am) (?:not sure|here to)\b", re.IGNORECASE)


def refuses(text: str) -> bool:
    """Whether an answer opens by saying that it will not or cannot do it; narrow, so that few answers count."""
    return _REFUSAL.match(_opening(text)) is not None


def deflects(text: str) -> bool:
    """Whether an answer opens with an apology, doubt, or talk of being here to help; refusals count as well."""
    return refuses(text) or _DEFLECTION.match(_opening(text)) is not None


def _opening(text: str) -> str:
    """The first words: 200 characters, without quotation marks and spaces before them, with plain apostrophes."""
    return text[:200].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lstrip(" \t\n\"'*-")


def repetition(text: str) -> float:
    """Share of word 3-grams that occurred before in the same text, 0 to 1."""
    words = text.lower().split()
    grams = list(zip(words, words[1:], words[2:], strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def shared_tokens(one: Sequence[int], other: Sequence[int]) -> float:
    """Share of tokens before the first difference, of the longer answer; 1 if both are empty."""
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same / max(len(one), len(other), 1) if one or other else 1.0
