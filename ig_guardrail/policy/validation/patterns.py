"""Regular expressions under RE2: linear time, and never a match of nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ig_guardrail.text.re2 import MOST_STEPS, reaching, steps_of

_PROBES = ("", "a", " ", "a b", "a\n1 _-é")  # texts with every kind of boundary
_LETTER = r"[^\W\d_\x00-\x7f]"
_BORDER_AT_LETTER = re.compile(rf"(?:^|[^\\])(?:\\\\)*\\b({_LETTER})|({_LETTER})\\b")
_NO_LOOKS = "RE2 has no look-around and no back-references; in YAML, patterns are best put in single quotes"
_REPAIRS = {  # how RE2's words for a fault begin, and what to write
    "missing )": r"close the bracket that is open; for a bracket itself write `\(`",
    "unexpected )": r"delete it, or open it before; for a bracket itself write `\)`",
    "missing ]": r"close the class that is open; for a bracket itself write `\[`",
    "no argument for repetition operator": r"put what repeats before it; any characters are `.*`, a star itself `\*`",
    "bad repetition operator": (
        r"write one of `*`, `+`, `?`, `{2,5}`, with at most one `?` behind it; for the sign itself write `\+`"
    ),
    "invalid repetition size": "repeat at most 1000 times in all, and the lower number first, as in `{2,5}`",
    r"invalid character class range: \p": r"write a class or script that Unicode has, such as `\pL` or `\p{Han}`",
    "invalid character class range": r"write the lower end first, as in `[a-z]`, and `\-` for a hyphen itself",
    r"invalid escape sequence: \u": r"write `\x{...}` for a character by its number; `\\u` is a backslash and a `u`",
    r"invalid escape sequence: \Z": r"write `\z` for the end of the text",
    "invalid perl operator: (?x": "write the pattern without spaces of its own; RE2 has no `x`",
    "invalid escape sequence": r"write `\\` for a backslash itself; RE2 has no back-references",
    "trailing": r"delete the backslash at the end; for a backslash itself write `\\`",
}
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")


def reason_against(pattern: str) -> str | None:
    """Why RE2 does not accept a pattern, in its words; None if it does."""
    import re2

    try:
        compiled(pattern)
    except re2.error as error:
        reason = error.args[0] if error.args else "no reason given"
        return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    except UnicodeEncodeError:
        return "it holds a character that is no Unicode text"
    return None


def advice_against(reason: str) -> str:
    """What to write where RE2 does not accept a pattern, by the reason that it gives."""
    if re.match(r"invalid perl operator: \(\?[a-zA-Z]", reason) and not reason.endswith(("(?P", "(?x")):
        return "write a flag that RE2 has: `i`, `m`, `s` or `U`, as in `(?i)`"
    return next((advice for begin, advice in _REPAIRS.items() if reason.startswith(begin)), _NO_LOOKS)


def matches_nothing(pattern: str) -> bool:
    """Whether an accepted pattern can match without reading a character, at a word boundary for example."""
    expression = compiled(pattern)
    return any(found.start() == found.end() for probe in _PROBES for found in expression.finditer(probe))


def matches(pattern: str, texts: Sequence[str]) -> list[str | None]:
    """For each text, the first match of an accepted pattern in it."""
    expression = compiled(pattern)
    found = [expression.search(text) for text in texts]
    return [None if match is None else str(match.group()) for match in found]


def border_at_letter(pattern: str) -> str | None:
    """A letter that `\\b` stands beside and that RE2 does not take for part of a word; None if there is none."""
    found = _BORDER_AT_LETTER.search(pattern)
    return (found[1] or found[2]) if found else None


def too_much_work(patterns: Sequence[str], longest_match: int) -> tuple[int, int] | None:
    """How many steps one scoring of accepted patterns takes at least, and how many it may; None where it may."""
    import re2

    steps = 0
    for pattern in patterns:
        try:
            steps += steps_of([reaching(pattern)], longest_match)
        except re2.error:  # too large to be looked for behind anything
            steps += MOST_STEPS + 1
        if steps > MOST_STEPS:
            return steps, MOST_STEPS
    return None


def least_length(pattern: str) -> int:
    """A number of characters that every match has at least: exact for literal text, else 1."""
    return len(pattern) if not _SPECIAL.search(pattern) else 1


def compiled(pattern: str) -> Any:
    """The pattern as RE2 takes it. Raises re2.error."""
    import re2

    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)
