"""RE2 as it is used here: how a pattern is compiled, in how much memory, and how much work patterns are at worst."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

MEMORY = 8 << 20  # bytes that RE2 may use for one expression
MOST_STEPS = 100_000_000  # of one scoring; a step takes up to two nanoseconds
NEW_CHARACTERS = 512  # that one scoring reads, in most policies far fewer


def compile_re2(pattern: str, memory: int = MEMORY) -> Any:
    """A pattern that finds the longest matches. Raises re2.error."""
    import re2

    options = re2.Options()
    options.longest_match = True
    options.log_errors = False
    options.never_capture = True
    options.max_mem = memory
    return re2.compile(pattern, options)


def reaching(pattern: str, memory: int = MEMORY, more: str = "") -> Any:
    """The pattern behind anything, so that the longest match reaches to the last end of any. Raises re2.error.

    memory  in bytes, if that is enough for it
    more    of the pattern, behind the match
    """
    import re2

    whole = f"(?s:.*)(?:{spellings(pattern)}){more}"
    try:
        return compile_re2(whole, memory)
    except re2.error:
        return compile_re2(whole)


def spellings(pattern: str) -> str:
    """A pattern that matches composed text even where it was written with combining marks."""
    composed = unicodedata.normalize("NFC", pattern)
    return pattern if composed == pattern else f"(?:{pattern})|(?:{composed})"


def steps_of(patterns: Sequence[Any], longest_match: int) -> int:
    """The most steps of one scoring by compiled patterns: every instruction, at each character of a window."""
    return sum(int(pattern.programsize) for pattern in patterns) * (longest_match + NEW_CHARACTERS)
