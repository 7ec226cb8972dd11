"""Where a tool call begins in what a model writes: one definition, for the grammar, the reader and the hold-back.

A call begins at `<tool_call>` with an object behind it, where the marker opens its line, ends its line, or stands
behind a whole sentence. Anywhere else, as in "write `<tool_call>` first", the marker is a word like any other.
"""

from __future__ import annotations

import re

OPEN, CLOSE = "<tool_call>", "</tool_call>"
BLANKS = " \t\r\n"  # what may stand between the parts of a call, and between calls
_SENTENCE_ENDS = ".!?\u2026\u3002\uff01\uff1f"

_MARKER, _SPACE, _LINE_END = "[<]tool_call>", r"[ \t\r\n]*", r"[ \t]*\r?\n"
_PLACE = rf"[\n{_SENTENCE_ENDS}][ \t]*"

BEGINNING = (
    rf"(([ \t]*|(?s:.*){_PLACE}){_MARKER}{_SPACE}|(?s:.*){_MARKER}{_LINE_END}{_SPACE})" + r"\{"
)  # a text up to the `{` of its first call and of none before, as a regular expression for grammars

_BEGINS = re.compile(rf"(?:(?:\A[ \t]*|{_PLACE})({_MARKER}){_SPACE}|({_MARKER}){_LINE_END}{_SPACE})" + r"\{")


def beginning(text: str) -> int | None:
    """Where the first call of a text begins; None where none does."""
    found = _BEGINS.search(text)
    return None if found is None else max(found.start(1), found.start(2))


def before_calls(text: str, ended: bool) -> int:
    """Characters before the first call of a text, or before an end of it that may become the beginning of one.

    ended: nothing follows, so that a marker in the middle of a sentence is prose
    """
    start = beginning(text)
    if start is not None:
        return start
    start = _last_marker(text)
    return len(text) if ended and not _may_begin(text, start) else start


def _last_marker(text: str) -> int:
    """Where a marker stands that nothing follows yet, or the first part of one; the text's end where neither does."""
    marked = text.rstrip(BLANKS)
    return len(marked) - len(OPEN) if marked.endswith(OPEN) else len(text) - overlap(text, OPEN)


def _may_begin(text: str, start: int) -> bool:
    """Whether a marker at `start` may begin a call, if an object follows."""
    before = text[:start].rstrip(" \t")
    return not before or before[-1] in f"\n{_SENTENCE_ENDS}" or "\n" in text[start:]


def overlap(text: str, longer: str) -> int:
    """Length of the longest end of `text` that is a beginning of `longer`, and not the whole of it."""
    lengths = range(min(len(text), len(longer) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(longer[:length])), 0)
